#!/usr/bin/env bash
# usage: services.sh install|up|env|down
# Every real service that the tests use, on this machine: PostgreSQL, MinIO, versitygw and Spark Connect, and the programs
# that read a lake from outside. "env" prints what tests and examples/service.yaml want to know, for the shell:
#
#   eval "$(infra/dev/services.sh env)"
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/infra/dev/lib.sh"

services=(postgres minio versitygw spark)
bucket=feedlake
database=feedlake

export FEEDLAKE_TEST_S3_KEY=${FEEDLAKE_TEST_S3_KEY:-feedlake-test}
export FEEDLAKE_TEST_S3_SECRET=${FEEDLAKE_TEST_S3_SECRET:-feedlake-test-secret}

each() {
  local s
  for s in "${services[@]}"; do "$root/infra/dev/$s.sh" "$1"; done
}

url() { "$root/infra/dev/$1.sh" url; }

# dsn is the database of examples/service.yaml.
dsn() { url postgres | sed "s#/postgres?#/$database?#"; }

# prepare makes the bucket and the database of examples/service.yaml.
prepare() {
  local code
  code=$(curl -sS -o /dev/null -w '%{http_code}' --aws-sigv4 aws:amz:us-east-1:s3 --user "$FEEDLAKE_TEST_S3_KEY:$FEEDLAKE_TEST_S3_SECRET" -X PUT "$(url minio)/$bucket")
  case $code in
    200 | 409) ;;
    *) die "MinIO did not make the bucket $bucket: answer $code" ;;
  esac
  psql -q "$(url postgres)" -Atc "select 1 from pg_database where datname = '$database'" | grep -q 1 ||
    psql -q "$(url postgres)" -c "create database $database"
}

case ${1:-} in
  install)
    has curl || packages "making a bucket" curl
    each install
    "$root/infra/dev/readers.sh" install
    ;;
  up)
    each up
    prepare
    ;;
  env)
    cat <<EOF
export FEEDLAKE_TEST_S3=$(url minio)
export FEEDLAKE_TEST_S3_OTHER=$(url versitygw)
export FEEDLAKE_TEST_S3_KEY=$FEEDLAKE_TEST_S3_KEY
export FEEDLAKE_TEST_S3_SECRET=$FEEDLAKE_TEST_S3_SECRET
export FEEDLAKE_TEST_SPARK=$(url spark)
export FEEDLAKE_TEST_PYTHON=$("$root/infra/dev/readers.sh" python)
export FEEDLAKE_TEST_DUCKDB=$("$root/infra/dev/readers.sh" duckdb)
export FEEDLAKE_TEST_HTTPFS=$("$root/infra/dev/readers.sh" httpfs)
export FEEDLAKE_S3_ENDPOINT=$(url minio)
export FEEDLAKE_S3_KEY=$FEEDLAKE_TEST_S3_KEY
export FEEDLAKE_S3_SECRET=$FEEDLAKE_TEST_S3_SECRET
export FEEDLAKE_S3_BUCKET=$bucket
export FEEDLAKE_DSN='$(dsn)'
export FEEDLAKE_SPARK=$(url spark)
EOF
    ;;
  down) each down ;;
  *) die "usage: services.sh install|up|env|down" ;;
esac
