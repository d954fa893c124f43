#!/usr/bin/env bash
# Every dependency must offer one of these licences; deny.toml says the same to cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo metadata --format-version 1 --locked | python3 -c '
import json, re, sys
good = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unlicense", "0BSD",
        "CC0-1.0", "Unicode-3.0", "BSL-1.0", "MIT-0", "MPL-2.0"}
bad = []
for p in json.load(sys.stdin)["packages"]:
    text = (p["license"] or "none").replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    # An expression passes where each AND-part has an acceptable OR-choice.
    ok = all(any(c.strip(" ()") in good for c in part.split(" OR ")) for part in text.split(" AND "))
    if not ok:
        bad.append("{} {}: {}".format(p["name"], p["version"], p["license"]))
print("\n".join(bad) if bad else "licences: all good")
sys.exit(bool(bad))
'
