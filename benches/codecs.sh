#!/usr/bin/env bash
# What packets cost, ours beside serde_json alone and beside other libraries, as one Markdown table on standard output.
# Figures go to the directory that FIGURES names, by default target/codecs: JSON, a line each.
# A peer that cannot be built or is not installed is left out, and said so.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/../target}
figures=${FIGURES:-$target/codecs}
mkdir -p "$figures"

skip() { printf '!!! NOT MEASURED: %s\n' "$1" >&2; }

# measure NAME DIRECTORY: what the programs `count` and `allocations` of DIRECTORY print.
measure() {
    "$2/count" time > "$figures/$1-time.jsonl"
    "$2/allocations" > "$figures/$1-allocations.jsonl"
    if command -v valgrind > /dev/null; then
        "$2/count" instructions > "$figures/$1-instructions.jsonl"
    else
        skip "instructions of $1: valgrind is not installed"
    fi
}

rm -f "$figures"/*.jsonl
cargo build --quiet --release --locked -p socketio-benches --bins
measure ours "$target/release"

peers=$PWD/peers/codecs
if (cd "$peers" && cargo build --quiet --release --locked --target-dir "$target/peers-codecs"); then
    measure socketioxide "$target/peers-codecs/release"
else
    skip "socketioxide: it cannot be built"
fi
if command -v node > /dev/null && (cd "$peers/js" && npm ci --silent --no-audit --no-fund); then
    "$target/release/count" messages | node "$peers/js/measure.js" > "$figures/node-time.jsonl"
else
    skip "the JavaScript parsers: node or their packages are missing"
fi
skip "rust_socketio and rust_engineio: their packet modules are private"

cat "$figures"/ours-*.jsonl "$figures"/socketioxide-*.jsonl "$figures"/node-*.jsonl 2> /dev/null |
    "$target/release/count" table
