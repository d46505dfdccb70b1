#!/bin/sh
# Builds pywasm3, the wasm3 interpreter for Python: it comes as sources alone. Where the machine has no C
# compiler, zig's is used; where Python's headers are missing, the tests skip wasm3 and say so.
set -u
python=$1
"$python" -c 'import wasm3' 2>/dev/null && exit 0
pip="$python -m pip install -q --disable-pip-version-check pywasm3"
if command -v cc >/dev/null 2>&1 && $pip 2>/dev/null; then
  exit 0
fi
if CC="$python -m ziglang cc" $pip 2>/dev/null; then
  exit 0
fi
echo "note: pywasm3 cannot be built here (no C compiler or Python headers): tests skip wasm3"
