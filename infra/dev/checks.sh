#!/usr/bin/env bash
# usage: checks.sh
# Looks for what a build needs: Linux on x86-64, Go, a C and C++ compiler, Python's pip. As root with apt-get it installs
# what is missing, otherwise it says what to install.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

case "$(uname -sm)" in
  "Linux x86_64") ;;
  *) die "TensorFlow's C library is taken from a wheel for Linux on x86-64; this is $(uname -sm)" ;;
esac
case "$PWD" in
  *[[:space:]]*) die "the folder's name holds a space, which the linker's flags cannot carry: $PWD" ;;
esac

need=()
has gcc || need+=(gcc)
has g++ || need+=(g++)
has nm || need+=(binutils)
has git || need+=(git)
python3 -m pip --version >/dev/null 2>&1 || need+=(python3 python3-pip)
packages "a build" "${need[@]}"

want=$(awk '$1 == "go" { print $2 }' "$here/../../go.mod")
has go || die "Go is not installed; feedlake needs Go $want or newer: https://go.dev/dl/"
version=$(cd "$here/../.." && go env GOVERSION 2>&1) ||
  die "this Go cannot build feedlake, which needs Go $want or newer: $version"
have=${version#go}
if [ "$(printf '%s\n%s\n' "$want" "${have%%[-+ ]*}" | sort -V | head -n 1)" != "$want" ]; then
  die "Go $have is too old; feedlake needs Go $want or newer: https://go.dev/dl/"
fi
