#!/usr/bin/env bash
# usage: minio.sh install|up|url|down
# A MinIO server for development and tests, on 127.0.0.1:19000 (FEEDLAKE_MINIO_PORT), data in .deps/run/minio. Who may
# enter: FEEDLAKE_TEST_S3_KEY and FEEDLAKE_TEST_S3_SECRET. It is built from its Go module, about three CPU minutes.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/infra/dev/lib.sh"
. "$root/infra/dev/service.sh"

version=v0.0.0-20260212201848-7aac2a2c5b7c
program=$root/.deps/bin/minio-$version
dir=$root/.deps/run/minio
port=${FEEDLAKE_MINIO_PORT:-19000}

case ${1:-} in
  install) go_program "github.com/minio/minio@$version" "$program" ;;
  up)
    [ -x "$program" ] || die "MinIO is not installed: infra/dev/minio.sh install"
    export MINIO_ROOT_USER=${FEEDLAKE_TEST_S3_KEY:-feedlake-test} MINIO_ROOT_PASSWORD=${FEEDLAKE_TEST_S3_SECRET:-feedlake-test-secret}
    export MINIO_BROWSER=off MINIO_UPDATE=off
    serve "$dir" "$port" /minio/health/ready "$program" server --address "127.0.0.1:$port" --certs-dir "$dir/certs" "$dir/data"
    ;;
  url) echo "http://127.0.0.1:$port" ;;
  down) unserve "$dir" "$program" ;;
  *) die "usage: minio.sh install|up|url|down" ;;
esac
