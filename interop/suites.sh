#!/usr/bin/env bash
# Runs the unmodified official protocol suites against the example servers.
#
#   SOCKETIO_SUITES=<checkout of socketio/socket.io> interop/suites.sh [times in a row, default 1]
#
# ADAPTERS: the adapters to test, "tokio async-std smol own" by default; the last is the example of a runtime of one's own.
# WORKERS: the numbers of worker threads to test with, "1 2" by default. SERVER_BIN_DIR: where the servers are; without it
# they are built in release mode. The suites talk to port 3000, which must be free.
set -euo pipefail

times=${1:-1}
read -ra adapters <<<"${ADAPTERS:-tokio async-std smol own}"
: "${SOCKETIO_SUITES:?names no checkout of socketio/socket.io}"
suites=$(cd "$SOCKETIO_SUITES/docs" && pwd)
cd "$(dirname "$0")/.."

if [ -z "${SERVER_BIN_DIR:-}" ]; then
  for adapter in "${adapters[@]}"; do
    case $adapter in
      tokio) where=(-p socketio-tokio --example interop) ;;
      own) where=(-p socketio-driver --example interop-own) ;;
      *) where=(-p "socketio-$adapter" --example "interop-$adapter") ;;
    esac
    cargo build --release --quiet "${where[@]}"
  done
  SERVER_BIN_DIR=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/examples
fi

server=
log=$(mktemp)
stop() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
  server=
}
trap 'stop; rm -f "$log"' EXIT

start() { # example, program, workers
  "$SERVER_BIN_DIR/$1" "$2" --port 3000 --ping-interval-ms 300 --ping-timeout-ms 200 --max-payload 1000000 \
    --connect-timeout-ms 1000 --cors-origin '*' --workers "$3" >"$log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    grep -q 'listening on' "$log" && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$log" >&2
  echo "$1 $2 does not listen on port 3000" >&2
  exit 1
}

failed=0
run() { # adapter, program, suite, expected number of tests
  local passed=0 total=0 output count example=interop program=$2 workers
  [ "$1" = tokio ] || example=interop-$1
  read -ra workers <<<"${WORKERS:-$([ "$1" = own ] && echo 1 || echo 1 2)}"
  shift 2
  [ -d "$suites/$1/node_modules" ] || (cd "$suites/$1" && npm ci --no-audit --no-fund >/dev/null)
  for threads in "${workers[@]}"; do
    start "$example" "$program" "$threads"
    for _ in $(seq "$times"); do
      total=$((total + 1))
      if output=$(cd "$suites/$1" && npx --no-install mocha test-suite.js 2>&1); then
        count=$(sed -n 's/^ *\([0-9]*\) passing.*/\1/p' <<<"$output")
      else
        count=0
      fi
      if [ "$count" = "$2" ]; then
        passed=$((passed + 1))
      else
        failed=1
        echo "$output"
      fi
    done
    stop
  done
  echo "$example $program: $1: $2 of $2 tests passed in $passed of $total runs (workers: ${workers[*]})"
}

for adapter in "${adapters[@]}"; do
  run "$adapter" engine-conformance engine.io-protocol/v4-test-suite 25
  run "$adapter" conformance socket.io-protocol/v5-test-suite 32
done
exit "$failed"
