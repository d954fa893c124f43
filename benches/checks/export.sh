#!/usr/bin/env bash
# Holds what `pofrs export` writes against other people's programs: DuckDB reads the Parquet files and must count the same rows as SQL does,
# OCSF events are checked against the schema, ECS documents against a copy of the schema's field list if one is given.
# Needs a pofrs, a record, and PyPI: export.sh POFRS DATA_DIR [ecs_flat.yml]
set -euo pipefail
pofrs=$1 data=$2 fields=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q duckdb ocsf-json-schema jsonschema pyyaml
run() { "$pofrs" --data-dir "$data" "$@"; }
run export --format parquet --all-clients --output "$work/parquet" || [ $? = 7 ]
run export --format ocsf --all-clients > "$work/ocsf.ndjson" || [ $? = 7 ]
run export --format ecs --all-clients > "$work/ecs.ndjson" || [ $? = 7 ]
for what in ps files net; do run find "$what" --all-clients --json > "$work/$what.ndjson" || [ $? = 7 ]; done
"$work/venv/bin/python" "$here/export.py" "$work" "$fields"
