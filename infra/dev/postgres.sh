#!/usr/bin/env bash
# usage: postgres.sh install|up|url|check|down
# A PostgreSQL server for development, in .deps/postgres on 127.0.0.1:15433 (FEEDLAKE_PG_PORT). Tests start servers of
# their own and need only "install". The server refuses to run as root: then the user postgres runs it.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/infra/dev/lib.sh"

dir=$root/.deps/postgres
port=${FEEDLAKE_PG_PORT:-15433}

bindir() {
  local d
  for d in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -rV) "$(dirname "$(command -v initdb || echo /none/initdb)")"; do
    if [ -x "$d/initdb" ]; then
      echo "$d"
      return
    fi
  done
  return 1
}

# as runs a command as a user who may run the server.
as() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

# place makes the server's folder: .deps/postgres, or one beside other temporary files where the user who runs the server
# cannot reach that.
place() {
  mkdir -p "$dir"
  if [ "$(id -u)" != 0 ]; then return; fi
  chown postgres "$dir"
  if ! as test -w "$dir" 2>/dev/null; then
    dir=${TMPDIR:-/tmp}/feedlake-postgres-$(cksum <<<"$root" | cut -d' ' -f1)
    mkdir -p "$dir"
    chown postgres "$dir"
    as test -w "$dir" || die "the user postgres can write neither to .deps nor to $dir"
  fi
}

case ${1:-} in
  install)
    bindir >/dev/null || packages "publishing to PostgreSQL" postgresql
    bindir >/dev/null || die "PostgreSQL's server programs (initdb, postgres) are not where they are looked for"
    ;;
  up)
    bin=$(bindir) || die "PostgreSQL is not installed: infra/dev/postgres.sh install"
    place
    if as "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1; then
      say "PostgreSQL runs: $("$0" url)"
      exit 0
    fi
    if [ ! -e "$dir/data/PG_VERSION" ]; then
      as "$bin/initdb" -D "$dir/data" -U postgres --auth=trust -E UTF8 --no-locale >/dev/null
    fi
    as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir" start >/dev/null ||
      die "PostgreSQL did not start: $(tail -n 3 "$dir/log")"
    say "PostgreSQL runs: $("$0" url)"
    ;;
  url) echo "postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable" ;;
  check)
    bin=$(bindir) || die "PostgreSQL is not installed: infra/dev/postgres.sh install"
    "$bin/psql" "$("$0" url)" -Atc 'select version()'
    ;;
  down)
    bin=$(bindir) || exit 0
    place
    as "$bin/pg_ctl" -D "$dir/data" -m fast stop >/dev/null 2>&1 || say "PostgreSQL did not run"
    ;;
  *) die "usage: postgres.sh install|up|url|check|down" ;;
esac
