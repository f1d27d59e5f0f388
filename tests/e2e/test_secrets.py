"""Planted values, searched for everywhere: they are in the app's own process and nowhere else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.served import NOBODY, Daemon, as_ordinary_user, data_folder, pids, remove, until

pytestmark = pytest.mark.sandbox

PLANTED = ("planted-in-production-7c1e", "planted-in-a-trial-90ab", "planted-with-a-deploy-33d2", "planted-badly-e0f4")
VICTIM = """
import { createHash } from "node:crypto";
if (process.env.WORKS === "no") throw new Error("picky");
const digest = () => createHash("sha256").update(process.env.API_KEY ?? "").digest("hex");
export default { fetch: (request: Request) => {
  if (request.method === "POST") process.kill(process.pid, "SIGKILL");
  return new Response(digest());
} };
"""
SPY = """
import { readdirSync, readFileSync } from "node:fs";
const found: string[] = [];
for (const pid of readdirSync("/proc")) for (const file of ["environ", "cmdline", "task/1/environ"])
  try { found.push(readFileSync(`/proc/${pid}/${file}`, "latin1")); } catch {}
export default { fetch: () => new Response(found.join("\\n")) };
"""


@pytest.fixture(params=["root", "user", "bare"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """One of root's, one of an ordinary user's, where all apps share one uid, and one without a sandbox. What it has in
    its own environment is no app's either."""
    before: tuple[str, ...] = ("env", f"OF_THE_DAEMON={PLANTED[0]}")
    data = data_folder()
    if request.param == "user" and os.geteuid() == 0:
        before = (*as_ordinary_user()[:-4], f"OF_THE_DAEMON={PLANTED[0]}", *as_ordinary_user()[-4:])
        os.chown(data.parent, NOBODY, NOBODY)
    elif request.param == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    started = Daemon(data, *(("--sandbox", "off") if request.param == "bare" else ()), before=before)
    try:
        yield started
        assert started.stop() == 0
    finally:
        started.kill()
        remove(data)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def holds(content: bytes) -> list[str]:
    return [planted for planted in PLANTED if planted.encode() in content]


def live_the_life(daemon: Daemon) -> list[httpx.Response]:
    """Everything that touches a value, its failures too; every answer."""
    files = {"index.ts": VICTIM}
    answers = [daemon.api("POST", "/apps", json={"name": "victim", "files": files, "env": {"API_KEY": PLANTED[2]}})]
    assert daemon.ask("victim").text == digest(PLANTED[2])
    wishes: list[tuple[str, dict[str, object]]] = [
        ("/env?context=trial", {"API_KEY": PLANTED[1], "PLAIN": {"value": PLANTED[1], "secret": False}}),
        ("/env", {"API_KEY": PLANTED[0], "PLAIN": {"value": PLANTED[0], "secret": False}}),
        ("/env", {"API_KEY": PLANTED[3], "WORKS": "no"}),
        ("/env", {"PORT": PLANTED[3]}),
        ("/env", {"WRONG": [PLANTED[3]]}),
        ("/env", {"WRONG": {"values": PLANTED[3]}}),
        ("/env", {"LONG": PLANTED[3] * 5_000}),
    ]
    answers += [daemon.api("PATCH", f"/apps/victim{path}", json=body) for path, body in wishes]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 422, 422, 422, 422, 413]
    broken = {"files": {"index.ts": "throw new Error('broken');"}, "env": {"API_KEY": PLANTED[3]}}
    answers.append(daemon.api("PUT", "/apps/victim", json=broken))
    assert answers[-1].status_code == 422
    answers.append(daemon.api("POST", "/apps/victim/stop"))
    assert daemon.ask("victim").text == digest(PLANTED[0])  # woken from a zygote, where there are any
    assert daemon.ask("victim", method="POST").status_code == 502
    card = until(lambda: daemon.api("GET", "/apps/victim").json()["app"].get("last_death"))
    assert card["signal"] == "SIGKILL"
    assert daemon.ask("victim").text == digest(PLANTED[0])
    answers.append(daemon.api("POST", "/host/secrets/rotate"))
    return answers


def test_a_planted_value_is_in_the_app_s_own_process_and_nowhere_else(daemon: Daemon) -> None:
    answers = live_the_life(daemon)
    daemon.create("spy", {"index.ts": SPY})
    answers += [daemon.ask("spy"), httpx.get(f"{daemon.url}/api/openapi.json")]
    reads = ["", "/env", "/events", "/logs?tail=1000", "/requests", "/deploys", "/versions", "/versions/1/files"]
    reads += ["/settings", "/operations", "/versions/1/archive", "/metrics"]
    answers += [daemon.api("GET", f"/apps/victim{path}") for path in reads]
    answers += [daemon.api("GET", path) for path in ("/apps", "/host", "/operations")]
    answers.append(daemon.ask("victim", "/nowhere"))
    for answer in answers:
        assert not holds(answer.content + str(answer.headers).encode()), answer.url
    assert not holds("".join(daemon.output).encode())
    for path in daemon.data.rglob("*"):
        if path.is_file():
            assert not holds(path.read_bytes()), path
    found = [pid for pid in pids() if pid != daemon.process.pid and seen_in(pid)]
    assert all(b"/bun" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found), found
    assert len(found) <= 1


def rotate(daemon: Daemon) -> None:
    with contextlib.suppress(httpx.HTTPError):
        daemon.api("POST", "/host/secrets/rotate")


def seen_in(pid: int) -> bool:
    """Whether a process was started with a planted value in its arguments or variables."""
    for name in ("environ", "cmdline"):
        with contextlib.suppress(OSError):
            if holds(Path(f"/proc/{pid}/{name}").read_bytes()):
                return True
    return False


@pytest.mark.slow
def test_the_daemon_killed_while_the_key_changes_loses_no_value(daemon: Daemon) -> None:
    """kill -9 at random moments of a rotation; what was interrupted is ended at the next start."""
    values = {f"A{number}": f"value {number}" for number in range(300)}
    echo = "export default { fetch: () => Response.json(process.env) };"
    created = daemon.api("POST", "/apps", json={"name": "many", "files": {"index.ts": echo}, "env": values})
    assert created.status_code == 201, created.text
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    key = daemon.data / "secrets.key"
    for _ in range(4):
        thread = threading.Thread(target=rotate, args=(daemon,))
        thread.start()
        time.sleep(dice.random() * 0.04)
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
        thread.join()
        daemon.start()
        found = daemon.ask("many").json()
        assert {name: found.get(name) for name in values} == values, seed
        keys = [line for line in key.read_text().splitlines() if not line.startswith("#")]
        assert len(keys) == 1, seed
    assert daemon.api("GET", "/host").json()["host"]["locked"] == []
    assert json.loads(daemon.api("GET", "/apps/many/env").text)["env"].keys() == values.keys()
