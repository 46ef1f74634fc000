#!/usr/bin/env bash
# usage: readers.sh install|python|duckdb|httpfs
# Programs of others that read a lake, for tests: pyiceberg, the DuckDB command line and DuckDB's extension httpfs, in
# .deps/readers. The last three verbs say where each of them is.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/infra/dev/lib.sh"

dir=$root/.deps/readers
list=$root/infra/dev/readers.txt

site() { echo "$dir"/lib/python3*/site-packages; }

case ${1:-} in
  install)
    cmp -s "$list" "$dir/.complete" && exit 0
    has python3 || packages "reading a lake with pyiceberg" python3 python3-venv
    say "installing pyiceberg and the DuckDB command line (once)"
    rm -rf "$dir"
    mkdir -p "$(dirname "$dir")"
    python3 -m venv "$dir" || die "python3 cannot make a virtual environment: install python3-venv"
    "$dir/bin/pip" install -q --disable-pip-version-check -r "$list" || die "pip could not install what $list names"
    cp "$list" "$dir/.complete"
    ;;
  python) echo "$dir/bin/python" ;;
  duckdb) echo "$(site)/duckdb_cli/duckdb" ;;
  httpfs) echo "$(site)"/duckdb_extension_httpfs/extensions/*/httpfs.duckdb_extension ;;
  *) die "usage: readers.sh install|python|duckdb|httpfs" ;;
esac
