#!/usr/bin/env bash
# usage: protoc.sh FILE.proto
# Writes FILE.pb.go and FILE_grpc.pb.go beside FILE.proto. The compiler comes out of a pinned Python wheel, the plugins
# out of Go modules; both stay in .deps.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/infra/dev/lib.sh"

tools=1.71.2  # grpcio-tools, which brings protoc
messages=v1.36.12
services=v1.6.0
file=${1:?usage: protoc.sh FILE.proto}
dir=$root/.deps/protoc

if [ "$(cat "$dir/.complete" 2>/dev/null)" != "$tools $messages $services" ]; then
  say "downloading protoc and its Go plugins"
  rm -rf "$dir"
  python3 -m venv "$dir"
  "$dir/bin/pip" install -q --disable-pip-version-check "grpcio-tools==$tools" "setuptools<81" || die "pip could not install grpcio-tools $tools"
  env -u CGO_CFLAGS -u CGO_LDFLAGS GOFLAGS=-trimpath GOBIN="$dir/bin" go install "google.golang.org/protobuf/cmd/protoc-gen-go@$messages"
  env -u CGO_CFLAGS -u CGO_LDFLAGS GOFLAGS=-trimpath GOBIN="$dir/bin" go install "google.golang.org/grpc/cmd/protoc-gen-go-grpc@$services"
  echo "$tools $messages $services" >"$dir/.complete"
fi
cd "$(dirname "$file")"
PATH=$dir/bin:$PATH "$dir/bin/python" -m grpc_tools.protoc -I. --go_out=. --go_opt=paths=source_relative \
  --go-grpc_out=. --go-grpc_opt=paths=source_relative "$(basename "$file")"
