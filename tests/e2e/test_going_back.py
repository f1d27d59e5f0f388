"""Code, variables and data go back to one moment, and forth again, while a crowd writes: nobody is told no."""

from __future__ import annotations

import asyncio

from tests.e2e.crowd import SOURCE, Crowd, files
from tests.served import Daemon


def test_code_and_data_go_back_and_forth_under_load_and_no_request_fails(daemon: Daemon) -> None:
    daemon.create("goer", {"index.ts": SOURCE, **files(1)})
    assert daemon.ask("goer", method="POST", content=b"before").status_code == 200
    crowd = Crowd(daemon, "goer")
    deploy = ("deploys", {"files": files(2), "merge": True, "trial": False})
    back = ("rollback", {"version": 1, "data": "version", "env": True})
    assert asyncio.run(crowd.around([deploy, back])) == [201, 201]
    assert crowd.failures == []
    assert daemon.api("GET", "/apps/goer").json()["app"]["version"] == 1
    kept = set(crowd.kept())
    assert "before" in kept

    points = daemon.api("GET", "/apps/goer/backups").json()["points"]
    undo = next(point for point in points if point["kind"] == "rollback")
    deployed = next(point for point in points if point["kind"] == "deploy")
    assert (undo["version"], deployed["version"]) == (2, 1)
    written_before = [key for key in crowd.acknowledged if key not in kept]
    assert written_before, "nothing that version 2 wrote was left behind"

    again = Crowd(daemon, "goer")
    forth = ("rollback", {"version": 2, "data": f"point:{undo['id']}"})
    assert asyncio.run(again.around([forth])) == [201]
    assert again.failures == []
    assert daemon.api("GET", "/apps/goer").json()["app"]["version"] == 2
    assert set(written_before) <= set(again.kept()), "the undo lost a row that version 2 had acknowledged"
