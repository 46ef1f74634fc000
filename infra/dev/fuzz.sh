#!/usr/bin/env bash
# usage: fuzz.sh TIME
# Runs every fuzz target of the module for TIME, such as 10s.
set -euo pipefail
time=${1:?usage: fuzz.sh TIME}
. "$(dirname "$0")/lib.sh"

grep -rnE --include='*_test.go' --exclude-dir=.deps '^func Fuzz[A-Za-z0-9_]+\(f \*testing\.F\)' . |
  sed -E 's/^(.*)\/[^/]+_test\.go:[0-9]+:func (Fuzz[A-Za-z0-9_]+)\(.*/\1 \2/' | sort -u |
  while read -r dir target; do
    say "$dir $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir" </dev/null
  done
