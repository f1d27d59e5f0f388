"""openapi.json, made from the endpoints and the types they use, so that it is complete by construction.

Source: OpenAPI Specification 3.1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from steadyd import __version__
from steadyd.appfile import TYPE
from steadyd.errors import STATUS
from steadyd.web import schema
from steadyd.web.background import Accepted
from steadyd.web.endpoint import Access, Endpoint
from steadyd.web.upload import ARCHIVE_TYPES, SOURCE_TYPES

Json = dict[str, Any]

TEXT_TYPES = ("text/plain", "application/typescript", "application/javascript", "application/x-www-form-urlencoded")
PACKED_TYPES = ("application/gzip", "application/x-tar", "application/zip", TYPE)
PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
PATH_PARAMETERS: dict[str, Json] = {
    "id": {"description": "What tells it from others, as it is listed.", "schema": {"type": "string"}},
    "name": {"description": "The app's name.", "schema": {"type": "string"}},
    "run": {"description": "A run's id, as it is listed.", "schema": {"type": "string"}},
    "username": {"description": "A user's name.", "schema": {"type": "string"}},
    "target": {"description": "What is open, as it is listed.", "schema": {"type": "string"}},
    "n": {"description": "A version's number.", "schema": {"type": "integer", "minimum": 1}},
    "file": {"description": "A database's path; its slashes stay as they are.", "schema": {"type": "string"}},
    "m": {"description": "The version to compare it with.", "schema": {"type": "integer", "minimum": 1}},
    "session": {"description": "What the REPL was opened as.", "schema": {"type": "string"}},
    "path": {"description": "A file's path; its slashes stay as they are.", "schema": {"type": "string"}},
}
PREFER: Json = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`respond-async`: 202 at once, with the operation to ask for; `wait=N`: not before N seconds.",
    "schema": {"type": "string"},
}

assert set(TEXT_TYPES) <= set(SOURCE_TYPES)
assert set(PACKED_TYPES) <= {*ARCHIVE_TYPES, TYPE}


def document(endpoints: Sequence[Endpoint], control_url: str) -> Json:
    """The whole description as a JSON object."""
    schemas, components = _schemas(endpoints)
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        path = PARAMETER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "steadyd",
            "version": __version__,
            "description": "Small Bun apps, live in milliseconds. Times are UTC; every error has a stable code.",
        },
        "servers": [{"url": control_url}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


# Private


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[Any, Json], Json]:
    """Each type's schema (mostly a reference), and the components that they refer to."""
    types: list[Any] = [schema.ErrorAnswer, Accepted]
    for endpoint in endpoints:
        types += [kind for kinds in endpoint.answers.values() for kind in kinds]
        types += [kind for kind in (endpoint.body, endpoint.upload) if kind is not None]
    unique = list(dict.fromkeys(types))
    found, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    for part in components.values():
        if "description" in part:
            part["description"] = " ".join(str(part["description"]).split())
    return dict(zip(unique, found, strict=True)), components


def _operation(endpoint: Endpoint, schemas: dict[Any, Json]) -> Json:
    operation: Json = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "description": f"For {endpoint.access.value}.",
        "security": [{}, {"bearer": []}] if endpoint.access in (Access.ANYONE, Access.READER) else [{"bearer": []}],
    }
    if parameters := [*_parameters(endpoint), *([PREFER] if endpoint.may_go_on else [])]:
        operation["parameters"] = parameters
    if endpoint.upload is not None:
        operation["requestBody"] = {"required": True, "content": _upload_content(schemas[endpoint.upload])}
    elif endpoint.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": schemas[endpoint.body]}}}
    operation["responses"] = _responses(endpoint, schemas)
    return operation


def _parameters(endpoint: Endpoint) -> list[Json]:
    found: list[Json] = [
        {"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]}
        for name in PARAMETER.findall(endpoint.path)
    ]
    if endpoint.query is None:
        return found
    _, components = msgspec.json.schema_components([endpoint.query])
    shape = components[endpoint.query.__name__]
    for name, kind in shape["properties"].items():
        kind = dict(kind)
        parameter = {"name": name, "in": "query", "required": name in shape.get("required", ())}
        if "description" in kind:
            parameter["description"] = kind.pop("description")
        found.append({**parameter, "schema": kind})
    return found


def _upload_content(json_schema: Json) -> Json:
    content: Json = {"application/json": {"schema": json_schema}}
    for name in TEXT_TYPES:
        content[name] = {"schema": {"type": "string", "description": "The source of index.ts."}}
    content["multipart/form-data"] = {
        "schema": {
            "type": "object",
            "description": "One part for each file, named after its path.",
            "additionalProperties": {"type": "string", "contentMediaType": "application/octet-stream"},
        }
    }
    for name in PACKED_TYPES:
        content[name] = {"schema": {"type": "string", "contentMediaType": name}}
    return content


def _responses(endpoint: Endpoint, schemas: dict[Any, Json]) -> Json:
    content: Json = {}
    for media_type, types in endpoint.answers.items():
        shapes = [schemas[kind] for kind in types]
        content[media_type] = {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}
    done: Json = {"description": "Done." if content else "Done; there is nothing to say."}
    if content:
        done["content"] = content
    responses: Json = {str(endpoint.status): done}
    if endpoint.may_go_on:
        responses["202"] = {
            "description": "It goes on, as “Prefer: respond-async” wished; if it has several steps.",
            "headers": {"Location": {"description": "The operation's address.", "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": schemas[Accepted]}},
        }
    codes = sorted(endpoint.refusals)
    for status in sorted({STATUS[code] for code in codes}):
        named = [code for code in codes if STATUS[code] == status]
        responses[str(status)] = {
            "description": f"Codes: {', '.join(named)}.",
            "headers": {"Steady-Error": {"description": "The code.", "schema": {"enum": named}}},
            "content": {"application/json": {"schema": schemas[schema.ErrorAnswer]}},
        }
    return responses
