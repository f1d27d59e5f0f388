"""The call that asks an app something."""

from __future__ import annotations

import asyncio
import base64

from steadyd.runner.errand import Told
from steadyd.web.rooms import TRIES_AT_ONCE_MAX, TRIES_WAITING_MAX
from tests.web.conftest import Stage, Web, code

TRY = "/api/apps/notes/try"
APP = b"""export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    console.log('asked for', pathname);
    if (pathname === '/bytes') return new Response(new Uint8Array([0, 255, 1]));
    if (pathname === '/wait') await Bun.sleep(300);
    return new Response(`${request.method} ${await request.text()}`, { status: 201, headers: { 'x-own': 'yes' } });
  },
};
"""


def test_all_about_the_answer_is_told(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("notes", content=APP)
        told: list[Told] = []
        async with stage.rebuilt(record=told.append).client(stage.operator_token) as client:
            sent = {"method": "POST", "path": "/x?y=1", "headers": {"x-a": "b"}, "body": "hi"}
            answer = (await client.post(TRY, json=sent)).json()["answer"]
            assert (answer["status"], answer["body"], answer["error"]) == (201, "POST hi", None)
            assert {"name": "x-own", "value": "yes"} in [{**it, "name": it["name"].lower()} for it in answer["headers"]]
            assert "asked for /x" in [line["text"] for line in answer["logs"]]
            assert answer["timing"].keys() == {"gate_ms", "start_ms", "app_ms"}
            sent = {"method": "POST", "body": {"base64": base64.b64encode(b"bin").decode()}, "path": "/bytes"}
            answer = (await client.post(TRY, json=sent)).json()["answer"]
            assert base64.b64decode(answer["body"]["base64"]) == b"\0\xff\1"
            assert [one.path for one in told] == ["/x", "/bytes"]

    web(body)


def test_what_is_no_request_is_refused(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("notes", content=APP)
        async with stage.client(stage.operator_token) as client:
            for sent in (
                {"method": "CONNECT"},
                {"path": "//other\r\n"},
                {"headers": {"Host": "other"}},
                {"body": {"base64": "?"}},
                {"more": 1},
            ):
                assert code(await client.post(TRY, json=sent)) == "invalid", sent
            assert code(await client.post(TRY, json={"preview": True})) == "conflict"
            assert code(await client.post(TRY, json={"body": "x" * (1 << 20)})) == "too_large"

    web(body)


def test_so_many_at_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("notes", content=APP)
        async with stage.client(stage.operator_token) as client:
            asked = [client.post(TRY, json={"path": "/wait"}) for _ in range(TRIES_AT_ONCE_MAX + TRIES_WAITING_MAX + 1)]
            answers = await asyncio.gather(*asked)
            refused = [answer for answer in answers if answer.status_code != 200]
            assert [code(answer) for answer in refused] == ["overloaded"]

    web(body)
