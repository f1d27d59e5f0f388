"""The running promises under load and violence, through the front door of a real daemon."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import ROOT, Daemon, Wire, data_folder, remove, until

COUNTER = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS hits (id INTEGER PRIMARY KEY, key TEXT NOT NULL)");
const add = db.query("INSERT INTO hits (key) VALUES (?)");
const all = db.query("SELECT key FROM hits ORDER BY id");
export default {
  async fetch(request: Request) {
    if (request.method === "POST") { add.run(await request.text()); return new Response("kept"); }
    return Response.json(all.all().map((row: any) => row.key));
  },
};
"""
HELLO = 'export default { fetch: () => new Response("hello") };'


def state(daemon: Daemon, name: str) -> str:
    return str(daemon.api("GET", f"/apps/{name}").json()["app"]["state"])


def test_thousand_requests_wake_one_instance(daemon: Daemon) -> None:
    """Promise 1: requests to a sleeping app wait and are answered, all by one start."""
    source = "const born = crypto.randomUUID();\nexport default { fetch: () => new Response(born) };"
    daemon.create("herd", {"index.ts": source})
    daemon.api("POST", "/apps/herd/stop")
    assert state(daemon, "herd") == "stopped"

    async def herd() -> list[tuple[int, bytes]]:
        async def one() -> tuple[int, bytes]:
            wire = Wire(daemon.port, "herd.localhost")
            try:
                return await wire.ask("GET", "/")
            finally:
                wire.close()

        return await asyncio.gather(*(one() for _ in range(1000)))

    answers = asyncio.run(herd())
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1


async def write(
    wire: Wire, number: int, stopping: asyncio.Event, acknowledged: list[str], failures: list[object]
) -> None:
    """A client that sends a key after the other."""
    count = 0
    while not stopping.is_set():
        key = f"{number}-{count}"
        count += 1
        try:
            status, body = await wire.ask("POST", "/", key.encode())
        except (OSError, asyncio.IncompleteReadError) as error:
            failures.append(error)
            wire.close()
            continue
        if status == 200:
            acknowledged.append(key)
        else:
            failures.append((status, body))
    wire.close()


def lose_and_double_nothing(daemon: Daemon, name: str, calls: list[tuple[str, str, dict[str, object]]]) -> list[int]:
    """Make API calls about an app while 8 clients write: no request fails, each acknowledged row is there once. Returns
    the statuses of the calls."""

    async def body() -> tuple[list[str], list[object], list[int]]:
        stopping, acknowledged, failures = asyncio.Event(), list[str](), list[object]()
        wires = [Wire(daemon.port, f"{name}.localhost") for _ in range(8)]
        writers = [asyncio.create_task(write(w, n, stopping, acknowledged, failures)) for n, w in enumerate(wires)]
        statuses = []
        for method, path, sent in calls:
            answer = await asyncio.to_thread(daemon.api, method, f"/apps/{name}/{path}", json=sent)
            statuses.append(answer.status_code)
        stopping.set()
        await asyncio.gather(*writers)
        return acknowledged, failures, statuses

    acknowledged, failures, statuses = asyncio.run(body())
    assert failures == []
    kept = daemon.ask(name).json()
    assert len(kept) == len(set(kept))
    assert sorted(kept) == sorted(acknowledged)
    assert len(acknowledged) > 5 * len(calls)
    return statuses


@pytest.mark.slow
def test_deploys_under_writing_clients_lose_and_double_nothing(daemon: Daemon) -> None:
    """Promise 2: 12 deploys while 8 clients write."""
    daemon.create("busy", {"index.ts": COUNTER})
    calls: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "deploys", {"merge": True, "files": {"version.ts": f"export const version = {number};"}})
        for number in range(12)
    ]
    assert lose_and_double_nothing(daemon, "busy", calls) == [201] * 12


def test_settings_under_writing_clients_lose_and_double_nothing(daemon: Daemon) -> None:
    """Promise 2: every setting changed while 8 clients write, some at once, the network by a swap."""
    daemon.create("tuned", {"index.ts": COUNTER})
    wishes: list[dict[str, object]] = [
        {"memory": "96MiB", "cpus": 0.8, "processes": 48},
        {"network": "none", "idle": "never"},
        {"memory": "200MiB", "disk": "50MiB"},
        {"network": None, "idle": "10min"},
        {"memory": None, "cpus": None, "processes": None, "disk": None, "idle": None},
    ]
    calls = [("PATCH", "settings", wish) for wish in wishes * 2]
    assert lose_and_double_nothing(daemon, "tuned", calls) == [200] * 10
    assert set(daemon.api("GET", "/apps/tuned/settings").json()["sources"].values()) == {"host"}


def test_variables_under_writing_clients_lose_and_double_nothing(daemon: Daemon) -> None:
    """Promise 2: variables changed while 8 clients write; every third change does not start, and changes nothing."""
    daemon.create("varied", {"index.ts": f"if (process.env.A === '2') throw new Error('two');\n{COUNTER}"})
    calls: list[tuple[str, str, dict[str, object]]] = [("PATCH", "env", {"A": str(number % 3)}) for number in range(9)]
    assert lose_and_double_nothing(daemon, "varied", calls) == [200, 200, 422] * 3
    assert list(daemon.api("GET", "/apps/varied/env").json()["env"]) == ["A"]


@pytest.mark.slow
def test_killed_app_comes_back(daemon: Daemon) -> None:
    """Promise 3: kill -9 of the app at random moments, 20 times: the next answers are right, the card is there."""
    daemon.create("mortal", {"index.ts": COUNTER})
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    for number in range(20):
        assert daemon.ask("mortal", method="POST", content=f"{number}").status_code == 200, seed
        pids = [pid for pid in daemon.instances() if b"/app/index.ts" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        time.sleep(dice.random() * 0.02)
        for pid in pids:
            try:
                # The innermost process: Bun itself.
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/steady/bun"):
                    os.kill(pid, 9)
            except FileNotFoundError:
                continue
        answer = daemon.ask("mortal")
        if answer.status_code == 502:  # it got into the one that was dying
            assert answer.headers["steady-error"] == "app_died", seed
            answer = daemon.ask("mortal")
        assert answer.json() == [str(done) for done in range(number + 1)], (seed, answer.text)
    card = until(lambda: daemon.api("GET", "/apps/mortal").json()["app"].get("last_death"))
    assert card["cause"] in ("signal", "exit")


@pytest.fixture
def own_daemon() -> Iterator[Daemon]:
    data = data_folder()
    started = Daemon(data, "--start-deadline", "4s")
    try:
        yield started
        assert started.stop() == 0
    finally:
        started.kill()
        remove(data)


@pytest.mark.slow
def test_killed_daemon_leaves_no_orphan_and_serves_again(own_daemon: Daemon) -> None:
    """Promise 4: kill -9 of the daemon at random moments, also amid a deploy."""
    kill_again_and_again(own_daemon, rounds=8)


@pytest.mark.soak
def test_a_hundred_kills_leave_no_orphan(own_daemon: Daemon) -> None:
    kill_again_and_again(own_daemon, rounds=100)


def kill_again_and_again(daemon: Daemon, rounds: int) -> None:
    daemon.create("phoenix", {"index.ts": COUNTER})
    daemon.create("other", {"index.ts": HELLO})
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    acknowledged: list[str] = []
    for number in range(rounds):
        assert daemon.ask("phoenix", method="POST", content=f"{number}").status_code == 200
        acknowledged.append(str(number))
        files = {"index.ts": COUNTER + f"// {number}\n", "n.ts": f"export const n = {number}"}

        async def deploy_and_kill(files: dict[str, str] = files, after: float = dice.random() * 0.08) -> None:
            deploying = asyncio.create_task(
                asyncio.to_thread(daemon.api, "POST", "/apps/phoenix/deploys", json={"files": files})
            )
            await asyncio.sleep(after)
            daemon.kill()
            await asyncio.gather(deploying, return_exceptions=True)

        before = daemon.api("GET", "/apps/phoenix").json()["app"]["version"]
        asyncio.run(deploy_and_kill())
        until(lambda: not daemon.instances(), 3)
        daemon.start()
        assert daemon.ask("phoenix").json() == acknowledged, seed
        assert daemon.ask("other").text == "hello"
        version = daemon.api("GET", "/apps/phoenix").json()["app"]["version"]
        assert version in (before, before + 1), seed
        shown = daemon.api("GET", f"/apps/phoenix/versions/{version}/files/index.ts").text
        live = (daemon.data / "apps").glob("*/app/index.ts")
        assert shown in [path.read_text() for path in live], seed
    deploys = daemon.api("GET", "/apps/phoenix/deploys").json()["deploys"]
    assert {deploy["status"] for deploy in deploys} <= {"live", "failed"}


@pytest.mark.slow
def test_failed_deploy_changes_nothing(own_daemon: Daemon) -> None:
    """Promise 2: a candidate that does not parse, exits or never listens leaves the old version serving."""
    daemon = own_daemon
    daemon.create("steadfast", {"index.ts": HELLO})
    kept = sorted(path.name for path in (daemon.data / "blobs").glob("??/*"))
    for source in ("export default {", "process.exit(3)", "await new Promise(() => {})", "throw new Error('no')"):
        answer = daemon.api("POST", "/apps/steadfast/deploys", json={"files": {"index.ts": source}}, timeout=60)
        assert answer.status_code == 422, answer.text
        error = answer.json()["error"]
        assert error["code"] == "deploy_failed"
        assert error["details"]["step"]
        assert error["details"]["reason"]
        assert daemon.ask("steadfast").text == "hello"
    assert daemon.api("GET", "/apps/steadfast").json()["app"]["version"] == 1
    assert daemon.api("POST", "/apps", json={"files": {"index.ts": "process.exit(4)"}}).status_code == 422
    assert sorted(path.name for path in (daemon.data / "blobs").glob("??/*")) == kept


EXAMPLES = {
    "chat": "<h1>Chat</h1>",
    "counter": '{"visits":0}',
    "crons": "The last ticks:",
    "guestbook": "<h1>Guestbook</h1>",
    "hello": "Hello from example-hello.localhost",
    "hono": "Hello from Hono",
    "htmx": "<h1>Things to do</h1>",
    "multi-file": "What time is it?",
    "static-site": "A page and no code",
    "visitors": "You are visitor number 1.",
}
INSTALLED = ("hono", "htmx")


def test_every_example_is_named_here() -> None:
    assert sorted(path.name for path in (ROOT / "examples").iterdir() if path.is_dir()) == sorted(EXAMPLES)


@pytest.mark.parametrize(
    "folder", [pytest.param(name, marks=[pytest.mark.network] * (name in INSTALLED)) for name in EXAMPLES]
)
def test_every_example_runs(daemon: Daemon, folder: str) -> None:
    """The examples are what a newcomer tries first: each deploys and says what it is for."""
    files = {}
    for path in sorted((ROOT / "examples" / folder).rglob("*")):
        if path.is_file() and "node_modules" not in path.parts:
            files[str(path.relative_to(ROOT / "examples" / folder))] = path.read_text()
    daemon.create(f"example-{folder}", files)
    answer = daemon.ask(f"example-{folder}")
    assert (answer.status_code, EXAMPLES[folder] in answer.text) == (200, True), answer.text


def test_what_is_written_into_the_guestbook_is_text(daemon: Daemon) -> None:
    daemon.create("signed", {"index.ts": (ROOT / "examples" / "guestbook" / "index.ts").read_text()})
    signed = daemon.ask("signed", method="POST", data={"name": "<b>Ada", "words": "<script>"})
    assert (signed.status_code, signed.headers["location"]) == (303, "/")
    assert "&lt;b&gt;Ada</b> &lt;script&gt;" in daemon.ask("signed").text
    assert daemon.ask("signed", method="POST", data={"name": "", "words": "x"}).status_code == 400


def test_event_stream_ends_complete_at_a_swap(daemon: Daemon) -> None:
    """Promise 2: a long-lived answer does not hold a swap; it ends with a complete last chunk."""
    source = """
    export default { fetch() {
      return new Response(new ReadableStream({ async start(c) {
        for (let n = 0; ; n++) { c.enqueue(`data: ${n}\\n\\n`); await Bun.sleep(20); }
      } }), { headers: { "content-type": "text/event-stream" } });
    } };
    """
    daemon.create("stream", {"index.ts": source})

    async def body() -> bytes:
        wire = Wire(daemon.port, "stream.localhost")
        listening = asyncio.create_task(wire.ask("GET", "/"))
        await asyncio.sleep(0.3)
        answer = await asyncio.to_thread(daemon.api, "POST", "/apps/stream/restart")
        assert answer.status_code == 200
        status, content = await asyncio.wait_for(listening, 5)
        wire.close()
        assert status == 200
        return content

    assert b"data: 1\n\n" in asyncio.run(body())


def test_websocket_ends_with_1012_at_a_swap(daemon: Daemon) -> None:
    """Promise 2: a WebSocket is closed with 1012 (service restart, RFC 6455 7.4.1 and the IANA registry), and the
    next one reaches the new instance."""
    source = """
    Bun.serve({
      fetch(request, server) { return server.upgrade(request) ? undefined : new Response("plain"); },
      websocket: { message(socket, message) { socket.send("echo " + message); } },
    });
    """
    daemon.create("sockets", {"index.ts": source})

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: sockets.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b" 101 " in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0]
        writer.write(b"\x81\x82\0\0\0\0hi")  # a masked text frame
        assert await reader.readexactly(9) == b"\x81\x07echo hi"
        return reader, writer

    async def body() -> None:
        reader, writer = await connect()
        began = time.monotonic()
        answer = await asyncio.to_thread(daemon.api, "POST", "/apps/sockets/restart")
        assert answer.status_code == 200
        frame = await asyncio.wait_for(reader.readexactly(4), 5)
        assert frame[0] == 0x88
        assert int.from_bytes(frame[2:4], "big") == 1012
        assert time.monotonic() - began < 4, "the WebSocket held the swap"
        writer.close()
        (await connect())[1].close()

    asyncio.run(body())


def test_a_cookie_for_the_whole_domain_is_narrowed_and_the_log_says_so(daemon: Daemon) -> None:
    """Promise 6: an app cannot set a cookie for its neighbours."""
    source = """
    export default { fetch: () => new Response("x", { headers: { "set-cookie": "session=mine; Domain=localhost" } }) };
    """
    daemon.create("tosser", {"index.ts": source})
    for _ in range(2):
        assert "domain" not in daemon.ask("tosser").headers["set-cookie"].lower()
    lines = daemon.api("GET", "/apps/tosser/logs?tail=50").text.splitlines()
    assert sum("A cookie for more than tosser.localhost" in line for line in lines) == 1


def test_stop_hold_and_start(daemon: Daemon) -> None:
    """A stopped app wakes by a request, a held one does not."""
    daemon.create("sleeper", {"index.ts": HELLO})
    daemon.api("POST", "/apps/sleeper/stop")
    assert state(daemon, "sleeper") == "stopped"
    assert daemon.ask("sleeper").text == "hello"
    daemon.api("POST", "/apps/sleeper/stop", json={"hold": True})
    assert state(daemon, "sleeper") == "held"
    refused = daemon.ask("sleeper")
    assert (refused.status_code, refused.headers["steady-error"]) == (503, "held")
    assert daemon.api("POST", "/apps/sleeper/start").status_code == 200
    assert daemon.ask("sleeper").text == "hello"


def test_app_sees_nothing_of_the_host(own_daemon: Daemon) -> None:
    """Promise 5, as far as it goes now: no variable and no path of the daemon inside."""
    source = """
    import { readdirSync, readFileSync } from "node:fs";
    export default { fetch() {
      let seen = "";
      for (const pid of readdirSync("/proc").filter((name) => /^\\d+$/.test(name)))
        for (const file of ["environ", "cmdline"])
          try { seen += readFileSync(`/proc/${pid}/${file}`, "utf8") + "\\n"; } catch {}
      return Response.json({ seen, env: process.env, root: readdirSync("/"), uid: process.getuid!() });
    } };
    """
    own_daemon.create("curious", {"index.ts": source})
    told = own_daemon.ask("curious").json()
    everything = json.dumps(told)
    assert str(own_daemon.data) not in everything
    assert str(ROOT) not in everything
    assert "STEADYD" not in everything
    assert set(told["env"]) <= {
        *("PATH", "HOME", "LANG", "NODE_ENV", "PORT", "PWD", "BUN_RUNTIME_TRANSPILER_CACHE_PATH"),
        *("STEADY_APP", "STEADY_URL", "STEADY_VERSION", "STEADY_ENV"),
    }
    assert told["uid"] == 1000
