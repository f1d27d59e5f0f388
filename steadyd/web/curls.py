"""Each call of the API as a curl line that can be copied. Where it says NAME and TOKEN, the page puts one's own."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

HELLO = "export default { fetch: () => new Response('hello') }"
BODIES: Mapping[str, Any] = {
    "create_app": {"name": "NAME", "files": {"index.ts": HELLO}},
    "put_app": {"files": {"index.ts": HELLO}},
    "make_deploy": {"files": {"index.ts": HELLO}},
    "roll_back": {"version": 1},
    "query_database": {"sql": "SELECT 1"},
    "replace_env": {"KEY": "value"},
    "change_env": {"KEY": "value"},
    "change_settings": {"memory": "128MiB"},
    "rename_app": {"name": "NEW-NAME"},
    "fork_app": {"name": "NEW-NAME"},
    "make_point": {"note": "before the party"},
    "put_cron": {"schedule": "@daily", "path": "/tick"},
    "start_preview": {"merge": True, "files": {"index.ts": HELLO}},
}
"""What is sent, where a shape alone makes no good example; by the call's id in openapi.json."""
PATHS: Mapping[str, str] = {"n": "1", "m": "2", "file": "data.sqlite", "path": "index.ts", "id": "ID", "run": "RUN"}
SAMPLES: Mapping[str, Any] = {"string": "…", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}


def curl(origin: str, method: str, path: str, call: Json, components: Mapping[str, Json]) -> str:
    """The line. `call` is the operation and `components` are the schemas of an OpenAPI document."""
    words = ["curl", *([] if method == "get" else ["-X", method.upper()])]
    if {} not in call["security"] or method != "get":
        words += ["-H", "Authorization: Bearer TOKEN"]
    content = call.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        shape = content["application/json"]["schema"]
        body = BODIES[call["operationId"]] if call["operationId"] in BODIES else sample(shape, components)
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body, ensure_ascii=False)]
    filled = re.sub(r"\{(\w+)\}", lambda found: PATHS.get(found[1], found[1].upper()), path)
    asked = [one for one in call.get("parameters", []) if one["in"] == "query" and one["required"]]
    query = "&".join(f"{one['name']}={one['name'].upper()}" for one in asked)
    return shlex.join([*words, f"{origin}{filled}" + (f"?{query}" if query else "")])


def sample(shape: Json, components: Mapping[str, Json]) -> Any:
    """The least that fits a JSON schema of ours."""
    if "$ref" in shape:
        return sample(components[shape["$ref"].rpartition("/")[2]], components)
    for key in ("anyOf", "oneOf"):
        if key in shape:
            return sample(shape[key][0], components)
    if "enum" in shape:
        return shape["enum"][0]
    if shape.get("type") == "object":
        parts = shape.get("properties", {})
        return {name: sample(parts[name], components) for name in shape.get("required", ())}
    return SAMPLES.get(str(shape.get("type")), "…")
