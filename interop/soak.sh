#!/usr/bin/env bash
# Clients that connect, chat, drop and come back at random, against a server on loopback: no event is lost, nothing leaks,
# nothing panics. One adapter after the other, each on both sides.
#
#   interop/soak.sh [seconds, default 600] [tokio|smol|async-std ..., default all]
#
# CLIENTS: how many, 2000 by default. SEED: what they do follows from it. PACE_MS: their rest between two things that they
# do. WORKERS: threads of the server, 2 by default. LOG_DIR: where the figures of each round go. SERVER_BIN_DIR: where the
# examples are; without it they are built in release mode.
set -euo pipefail

seconds=${1:-600}
shift || true
adapters=("$@")
[ $# -gt 0 ] || adapters=(tokio smol async-std)
clients=${CLIENTS:-2000}
cd "$(dirname "$0")/.."

for adapter in "${adapters[@]}"; do
  case $adapter in tokio | smol | async-std) ;; *) echo "there is no adapter $adapter" >&2 && exit 2 ;; esac
done
# Those that poll have two connections at times, and some are being opened while others are not closed yet.
needed=$((2 * clients + 100))
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt "$needed" ] && ! ulimit -n "$needed" 2>/dev/null; then
  echo "$clients clients need $needed descriptors in each process, and the limit is $(ulimit -n): raise it with ulimit -n" >&2
  exit 1
fi

suffix() { [ "$1" = tokio ] || echo "-$1"; }

if [ -z "${SERVER_BIN_DIR:-}" ]; then
  for adapter in "${adapters[@]}"; do
    cargo build --release --quiet --locked -p "socketio-$adapter" --example "interop$(suffix "$adapter")"
  done
  SERVER_BIN_DIR=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/examples
fi

server=
work=$(mktemp -d)
stop() {
  local code=0
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server"; } || code=$?
  server=
  return "$code"
}
trap 'stop || true; rm -rf "$work"' EXIT

# Sessions of clients that were cut between two polls end by the ping timeout: a short one keeps them few.
start() { # adapter
  rm -f "$work"/*
  "$SERVER_BIN_DIR/interop$(suffix "$1")" conformance --port 0 --workers "${WORKERS:-2}" --ping-interval-ms 5000 \
    --ping-timeout-ms 20000 >"$work/server.out" 2>"$work/server.err" &
  server=$!
  for _ in $(seq 600); do
    grep -qs 'listening on' "$work/server.out" && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/server.err" >&2
  echo "the server of $1 does not listen" >&2
  exit 1
}

failed=0
soak() { # adapter
  local wrong=() log=()
  [ -z "${LOG_DIR:-}" ] || log=(--log "$LOG_DIR/soak-$1.log")
  start "$1"
  "$SERVER_BIN_DIR/interop$(suffix "$1")" soak --url "http://$(sed -n 's/^listening on //p' "$work/server.out")" \
    --server-pid "$server" --clients "$clients" --seconds "$seconds" --seed "${SEED:-1}" --pace-ms "${PACE_MS:-2000}" \
    "${log[@]}" >"$work/soak.out" 2>"$work/soak.err" || wrong+=("the clients ended with $?")
  kill -0 "$server" 2>/dev/null || wrong+=("the server has ended")
  stop || wrong+=("the server ended with $?")
  ! grep -q panicked "$work/server.err" "$work/soak.err" || wrong+=("something has panicked")
  if [ ${#wrong[@]} -gt 0 ]; then
    failed=1
    head -n 200 "$work/soak.err" "$work/server.err" >&2
    printf "$1: FAILED: %s\n" "${wrong[@]}"
  fi
  sed "s/^/$1: /" "$work/soak.out"
}

for adapter in "${adapters[@]}"; do
  soak "$adapter"
done
exit "$failed"
