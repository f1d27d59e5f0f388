from __future__ import annotations

from tests.web.conftest import CLIENT, HELLO, Stage, Web, code

ADA = {"username": "ada", "password": "correct horse"}


def test_nobody_makes_anything_from_a_blocked_address_but_the_operator(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest = await stage.guest()
        await stage.app("before", guest)
        async with stage.client(stage.operator_token) as operator, stage.client(guest) as blocked:
            made = await operator.post("/api/host/blocks", json={"network": CLIENT, "reason": " Spam. "})
            block = made.json()["block"]
            assert (made.status_code, block["network"], block["reason"]) == (201, f"{CLIENT}/32", "Spam.")
            for refused in (
                await blocked.post("/api/apps?name=more", content=HELLO),
                await blocked.put("/api/apps/more", content=HELLO),
                await blocked.post("/api/users", json=ADA),
            ):
                assert code(refused) == "forbidden"
                assert "Spam." in refused.json()["error"]["message"]
            async with stage.client() as stranger:
                assert code(await stranger.post("/api/apps", content=HELLO)) == "forbidden"
            assert (await blocked.get("/api/apps/before")).status_code == 200
            assert (await operator.post("/api/apps?name=mine", content=HELLO)).status_code == 201
            assert (await operator.get("/api/host/blocks")).json()["blocks"] == [block]
            assert (await operator.delete(f"/api/host/blocks/{block['id']}")).status_code == 204
            assert code(await operator.delete(f"/api/host/blocks/{block['id']}")) == "not_found"
            assert (await blocked.post("/api/apps?name=more", content=HELLO)).status_code == 201
            for wrong in (
                {"network": "127.0.0.1"},
                {"network": "x"},
                {},
                {"network": CLIENT, "why": 1},
                {"network": "1" * 61},
            ):
                assert code(await operator.post("/api/host/blocks", json=wrong)) == "invalid", wrong

    web(body)
