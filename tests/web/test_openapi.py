"""openapi.json names every route, and what the handlers really answer fits the types it names."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from starlette.routing import Route

from steadyd.errors import STATUS
from steadyd.web import schema
from steadyd.web.app import endpoints
from tests.web.calls import CALLS, OK, everybody, request_of
from tests.web.conftest import Stage, Web


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return found.union(*(references(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(references(part) for part in value)) if value else set()
    return set()


def test_every_route_of_the_api_is_described_and_nothing_else(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            document = (await client.get("/api/openapi.json")).json()
        routes = {
            (re.sub(r":\w+}", "}", route.path), method)
            for route in stage.web.routes
            if isinstance(route, Route) and (route.path.startswith("/api") or route.path in ("/healthz", "/metrics"))
            for method in (route.methods or set()) - {"HEAD"}
        }
        described = {(path, method.upper()) for path, calls in document["paths"].items() for method in calls}
        assert described == routes

    web(body)


def test_the_document_is_whole(web: Web) -> None:
    """Every reference leads somewhere, every path parameter is described, every operation has a name of its own."""

    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            answer = await client.get("/api/openapi.json")
        assert answer.text.endswith("}\n")
        document = answer.json()
        names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
        assert references(document) == names
        operations = [call for calls in document["paths"].values() for call in calls.values()]
        assert len({call["operationId"] for call in operations}) == len(operations)
        for path, calls in document["paths"].items():
            for method, call in calls.items():
                wanted = set(re.findall(r"\{(\w+)}", path))
                found = {one["name"] for one in call.get("parameters", ()) if one["in"] == "path"}
                assert found == wanted, path
                assert call["summary"]
                assert any(status < "300" for status in call["responses"])
                assert "500" in call["responses"]
                if method in ("post", "put", "delete"):
                    assert "403" in call["responses"]

    web(body)


def test_every_code_that_is_named_has_a_status(web: Web) -> None:
    async def body(stage: Stage) -> None:
        for endpoint in endpoints(stage.rooms):
            assert set(endpoint.errors) <= STATUS.keys()

    web(body)


def test_what_handlers_answer_fits_their_types(web: Web) -> None:
    """Each JSON answer decodes strictly as one of the types that its endpoint names."""

    async def body(stage: Stage) -> None:
        scene = await everybody(stage)
        async with stage.client(stage.operator_token, accept="application/json") as client:
            await client.put("/api/apps/bad", content=b"process.exit(3)")
            for endpoint in endpoints(stage.rooms):
                types = endpoint.answers.get("application/json", ())
                operation = f"{endpoint.method} {re.sub(r':[a-z]+}', '}', endpoint.path)}"
                row = CALLS[operation]
                if not types or dict in types or row.outcome or row.rule["operator"] != OK:
                    continue
                method, path, content, kind = await request_of(scene, operation)
                headers = {"content-type": kind}
                if CALLS[operation].rule["operator"]:  # only the owner may
                    headers["authorization"] = f"Bearer {scene.tokens['owner']}"
                answer = await client.request(method, path, content=content, headers=headers)
                assert answer.status_code == endpoint.status, (path, answer.text)
                assert any(fits(answer.content, one) for one in types), (path, answer.text)
            refused = await client.get("/api/apps/absent")
            assert fits(refused.content, schema.ErrorAnswer)

    web(body)


def fits(content: bytes, kind: Any) -> bool:
    try:
        msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError:
        return False
    return True


def test_bodies_that_the_document_describes_are_taken(web: Web) -> None:
    """The description of a file is what the parser takes: text or base64, and null only in a deploy."""

    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            schemas = (await client.get("/api/openapi.json")).json()["components"]["schemas"]
        create = json.dumps(schemas["CreateBody"]["properties"]["files"])
        deploy = json.dumps(schemas["DeployBody"]["properties"]["files"])
        assert "null" not in create
        assert "null" in deploy
        assert "Base64" in create
        assert schemas["CreateBody"]["additionalProperties"] is False

    web(body)
