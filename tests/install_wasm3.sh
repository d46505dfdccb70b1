#!/bin/sh
# Builds pywasm3, the wasm3 interpreter for Python: it comes as sources alone. Where the machine has no C
# compiler, zig's is used; where Python's headers are missing, the tests skip wasm3 and say so. The
# interpreter's C goes to the folder wasm3 of the environment, for the tests of hosts in C.
set -u
python=$1
keep_sources() {
  folder=$("$python" -c 'import sys; print(sys.prefix)')/wasm3
  [ -f "$folder/wasm3.h" ] && return
  work=$(mktemp -d)
  if "$python" -m pip download -q --disable-pip-version-check --no-deps --no-binary pywasm3 pywasm3 \
    -d "$work" 2>/dev/null && tar -xzf "$work"/pywasm3-*.tar.gz -C "$work"; then
    mkdir -p "$folder" && cp "$work"/pywasm3-*/wasm3/*.[ch] "$folder"
  fi
  rm -rf "$work"
}
keep_sources
"$python" -c 'import wasm3' 2>/dev/null && exit 0
pip="$python -m pip install -q --disable-pip-version-check pywasm3"
if command -v cc >/dev/null 2>&1 && $pip 2>/dev/null; then
  exit 0
fi
if CC="$python -m ziglang cc" $pip 2>/dev/null; then
  exit 0
fi
echo "note: pywasm3 cannot be built here (no C compiler or Python headers): tests skip wasm3"
