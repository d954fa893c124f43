"""The checks of export.sh: rows that DuckDB counts, OCSF's schema, ECS's fields."""

import json
import sys
from collections import Counter
from pathlib import Path

import duckdb
import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

work, fields = Path(sys.argv[1]), sys.argv[2]
failed = False


def said(what, good):
    global failed
    failed |= not good
    print(("ok      " if good else "FAILED  ") + what)


def lines(name):
    with open(work / name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# Parquet: the same rows, a row a part, as `find --json` has them.
for kind, what in [("process", "ps"), ("file", "files"), ("endpoint", "net")]:
    expected = Counter()
    for found in lines(f"{what}.ndjson"):
        for part in found.get("parts", []):
            expected[found["client"], part["run"], part["digest"], part["first_seen"], part["last_seen"], part["began"], part["ended"]] += 1
    query = f"""SELECT client, run, digest, epoch_us(first_seen), epoch_us(last_seen), epoch_us(began), epoch_us(ended)
                FROM read_parquet('{work}/parquet/{kind}/*/*/*.parquet', hive_partitioning = true)"""
    found = Counter(duckdb.sql(query).fetchall()) if expected else Counter()
    said(f"parquet {kind}: DuckDB {duckdb.__version__} reads the {sum(expected.values())} rows of find", found == expected)

# OCSF: every event against its class.
names = {0: "base_event", 1001: "file_activity", 1007: "process_activity", 4001: "network_activity"}
validators, errors, events = {}, [], lines("ocsf.ndjson")
for event in events:
    profiles = event["metadata"].get("profiles", [])
    key = (event["class_uid"], tuple(profiles))
    if key not in validators:
        schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=event["metadata"]["version"]))
        validators[key] = jsonschema.Draft202012Validator(schema.get_class_schema(names[key[0]], profiles))
    errors += [f"{list(e.absolute_path)}: {e.message[:200]}" for e in validators[key].iter_errors(event)]
for text, n in Counter(errors).most_common(10):
    print(f"        {n} times {text}")
said(f"ocsf: {len(events)} events against {len(validators)} classes of the schema", not errors)

# ECS: every field that is not our own is one of the schema's.
if fields:
    import yaml

    with open(fields, encoding="utf-8") as file:
        known = set(yaml.safe_load(file))

    def walk(value, name=""):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{name}.{key}" if name else key)
        else:
            yield name

    used = {name for document in lines("ecs.ndjson") for name in walk(document) if not name.startswith("pofr.")}
    for name in sorted(used - known):
        print(f"        {name} is no field of ECS")
    said(f"ecs: {len(used)} fields", used <= known)
else:
    print("skipped ecs: give ecs_flat.yml of github.com/elastic/ecs")
sys.exit(failed)
