#!/usr/bin/env bash
# usage: versitygw.sh install|up|url|down
# versitygw, a second implementation of S3 for tests, on 127.0.0.1:19010 (FEEDLAKE_VERSITYGW_PORT), objects are files in
# .deps/run/versitygw. Who may enter: FEEDLAKE_TEST_S3_KEY and FEEDLAKE_TEST_S3_SECRET. Built from its Go module.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/infra/dev/lib.sh"
. "$root/infra/dev/service.sh"

version=v1.8.0
program=$root/.deps/bin/versitygw-$version
dir=$root/.deps/run/versitygw
port=${FEEDLAKE_VERSITYGW_PORT:-19010}

case ${1:-} in
  install) go_program "github.com/versity/versitygw/cmd/versitygw@$version" "$program" ;;
  up)
    [ -x "$program" ] || die "versitygw is not installed: infra/dev/versitygw.sh install"
    export ROOT_ACCESS_KEY=${FEEDLAKE_TEST_S3_KEY:-feedlake-test} ROOT_SECRET_KEY=${FEEDLAKE_TEST_S3_SECRET:-feedlake-test-secret}
    serve "$dir" "$port" /health "$program" --port "127.0.0.1:$port" --health /health --quiet posix "$dir/data"
    ;;
  url) echo "http://127.0.0.1:$port" ;;
  down) unserve "$dir" "$program" ;;
  *) die "usage: versitygw.sh install|up|url|down" ;;
esac
