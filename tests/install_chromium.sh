#!/bin/sh
# Installs Chromium, one of the engines that tests run modules in: with apt-get, for root on Debian and
# its like. Elsewhere it is left to whoever owns the machine; the tests skip Chromium and say so.
set -u
[ -n "${CHROMIUM:-}" ] && exit 0
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt="apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30"
  $apt update >/dev/null 2>&1
  if $apt install -y --no-install-recommends chromium >/dev/null 2>&1 </dev/null; then
    exit 0
  fi
fi
echo "note: Chromium is not installed and cannot be here: tests skip it (CHROMIUM=path names another one)"
exit 0
