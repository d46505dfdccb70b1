#!/bin/sh
# Installs what tests and benchmarks of firmware run on: QEMU for Arm and RISC-V, and Arm's gcc, with apt-get,
# for root on Debian and its like. Elsewhere that is left to whoever owns the machine; tests skip what is
# missing and say so.
set -u
missing=
command -v qemu-system-arm >/dev/null 2>&1 || missing="$missing qemu-system-arm"
command -v qemu-system-riscv32 >/dev/null 2>&1 || missing="$missing qemu-system-misc"
command -v arm-none-eabi-gcc >/dev/null 2>&1 || missing="$missing gcc-arm-none-eabi"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt="apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30"
  $apt update >/dev/null 2>&1
  # shellcheck disable=SC2086 # several packages
  if $apt install -y --no-install-recommends $missing >/dev/null 2>&1 </dev/null; then
    exit 0
  fi
fi
echo "note: not installed, and cannot be here:$missing; tests skip what needs them"
exit 0
