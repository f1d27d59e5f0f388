"""Apps that misbehave as processes, each beside a neighbour that must not notice, under a real daemon."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.neighbour import Neighbour
from tests.served import Daemon, data_folder, remove, until

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

START_SECONDS = 2.0
GRACE_SECONDS = 0.5
LOG_BYTES = 3 << 20
SLACK_SECONDS = 1.0
RESIDENT_GROWTH_BYTES_MAX = 48 << 20
DESCRIPTORS_GROWTH_MAX = 16
"""An app and its neighbour that stay awake: three of the request log each, and three of the instance."""
HELLO = 'export default { fetch: () => new Response("hello") };'


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Short deadlines, so that a test need not wait for long ones."""
    data = data_folder()
    options = f"--start-deadline {START_SECONDS}s --grace 500ms --drain 500ms --logs {LOG_BYTES >> 20}MiB"
    started = Daemon(data, *options.split())
    try:
        yield started
        assert started.stop() == 0, "".join(started.output)
        assert started.instances() == []
    finally:
        started.kill()
        remove(data)


@pytest.fixture(autouse=True)
def unharmed(daemon: Daemon) -> Iterator[None]:
    """What holds after every attack: the neighbour was answered, the daemon is the same and holds nothing more."""
    with Neighbour(daemon):
        resident, descriptors = held(daemon)
        yield
    assert daemon.process.poll() is None
    assert httpx.get(f"{daemon.url}/healthz").status_code == 200
    assert held(daemon)[0] < resident + RESIDENT_GROWTH_BYTES_MAX
    until(lambda: held(daemon)[1] <= descriptors + DESCRIPTORS_GROWTH_MAX, 5)


def held(daemon: Daemon) -> tuple[int, int]:
    """Resident bytes and open descriptors of the daemon."""
    folder = Path(f"/proc/{daemon.process.pid}")
    pages = int((folder / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(folder / "fd"))


def app(daemon: Daemon, name: str) -> dict[str, Any]:
    return dict(daemon.api("GET", f"/apps/{name}").json()["app"])


def end(daemon: Daemon, name: str) -> None:
    """Stop it: in time, and with nothing of it left."""
    began = time.monotonic()
    assert daemon.api("POST", f"/apps/{name}/stop", json={"hold": True}).status_code == 200
    assert time.monotonic() - began < GRACE_SECONDS + 0.5 + SLACK_SECONDS + SLACK_SECONDS
    identity = app_folder(daemon, name)
    assert [pid for pid in daemon.instances() if identity in mounts(pid)] == []


def app_folder(daemon: Daemon, name: str) -> str:
    """Where it lives: found by the file that only it ships."""
    (found,) = (daemon.data / "apps").glob(f"*/app/{name}.txt")
    return str(found.parent)


def mounts(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/mountinfo").read_text()
    return ""


def create(daemon: Daemon, name: str, source: str) -> None:
    daemon.create(name, {"index.ts": source, f"{name}.txt": "mine"})


def refused_start(daemon: Daemon, name: str, source: str) -> None:
    """A candidate with this source fails its deploy in time, and the old version goes on serving."""
    began = time.monotonic()
    answer = daemon.api("POST", f"/apps/{name}/deploys", json={"merge": True, "files": {"index.ts": source}})
    assert time.monotonic() - began < START_SECONDS + GRACE_SECONDS + SLACK_SECONDS
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "deploy_failed")
    assert daemon.ask(name).text == "hello"


@pytest.mark.parametrize(
    "source",
    [
        "for (;;);",
        "setInterval(() => {}, 1000);",
        "Bun.listen = null as any; await new Promise(() => setInterval(() => {}, 9));",
    ],
    ids=["spins", "idles", "waits"],
)
def test_a_start_that_never_ends_is_ended(daemon: Daemon, source: str) -> None:
    name = "starter"
    if daemon.api("GET", f"/apps/{name}").status_code == 404:
        create(daemon, name, HELLO)
    refused_start(daemon, name, source)
    end(daemon, name)
    daemon.api("POST", f"/apps/{name}/start")


def test_a_handler_that_spins_takes_only_its_own_requests(daemon: Daemon) -> None:
    """S5: twenty requests hang in it; the list of apps is quick, and it can be stopped."""
    source = 'if (request.url.endsWith("/spin")) for (;;); return new Response("hello");'
    create(daemon, "spinner", f"export default {{ fetch(request: Request) {{ {source} }} }};")
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        spinning = [threads.submit(daemon.ask, "spinner", "/spin") for _ in range(20)]
        time.sleep(0.5)
        began = time.monotonic()
        assert daemon.api("GET", "/apps").status_code == 200
        assert time.monotonic() - began < 0.3
        end(daemon, "spinner")
        answers = [future.result() for future in spinning]
    assert {answer.status_code for answer in answers} <= {502, 503, 504}
    assert all("steady-error" in answer.headers for answer in answers)


def test_ignoring_sigterm_helps_for_the_grace_period_only(daemon: Daemon) -> None:
    create(daemon, "deaf", f'process.on("SIGTERM", () => {{}}); process.on("SIGHUP", () => {{}});\n{HELLO}')
    assert daemon.ask("deaf").text == "hello"
    end(daemon, "deaf")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_no_grandchild_outlives_its_app(daemon: Daemon, how: str) -> None:
    """S7: in sessions of their own, forked twice, deaf to signals, and holding the app's output open."""
    name = f"parent-{how}"
    source = """
    Bun.spawn(["setsid", "sleep", "9999"], { stdio: ["ignore", "inherit", "inherit"], detached: true }).unref();
    Bun.spawn(["sh", "-c", "(setsid sh -c 'trap \\"\\" TERM HUP; sleep 9999; sleep 9999' &) & exit"]);
    export default { async fetch(request: Request) {
      if (request.url.endsWith("/die")) process.kill(process.pid, "SIGKILL");
      const count = "cat /proc/[0-9]*/cmdline | tr -c '0-9' '\\n' | grep -c 9999";
      return new Response(await new Response(Bun.spawn(["sh", "-c", count]).stdout).text());
    } };
    """
    create(daemon, name, source)
    until(lambda: int(daemon.ask(name).text) >= 3)
    folder = app_folder(daemon, name)
    before = {pid for pid in daemon.instances() if folder in mounts(pid)}
    assert len(before) >= 4
    if how == "kill":
        assert daemon.ask(name, "/die").status_code == 502
        until(lambda: not before & set(daemon.instances()), 3)
    end(daemon, name)


def test_a_flood_is_read_counted_and_capped(daemon: Daemon) -> None:
    """S11, cut to seconds: short lines, binary, and one line without an end, each far beyond rate and cap."""
    source = """
    const flood = (piece: Uint8Array | string, seconds: number) => {
      const until = performance.now() + seconds * 1000;
      while (performance.now() < until) require("fs").writeSync(1, piece);
    };
    export default { fetch(request: Request) {
      const kind = new URL(request.url).pathname;
      if (kind === "/lines") flood("\\x1b[31mred\\r\\n".repeat(8000), 1.5);
      if (kind === "/line") flood("x".repeat(1 << 20), 1.5);
      if (kind === "/binary") flood(new Uint8Array(1 << 20).fill(0xff), 0.5);
      console.log("\\nthe end of " + kind);
      return new Response("done");
    } };
    """
    create(daemon, "flood", source)
    folder = Path(app_folder(daemon, "flood")).parent / "logs"
    for kind in ("/lines", "/line", "/binary"):
        assert daemon.ask("flood", kind).text == "done"
        began = time.monotonic()
        lines = daemon.api("GET", "/apps/flood/logs?tail=5").text.splitlines()
        assert time.monotonic() - began < 0.3
        assert all(len(line) < 17_000 for line in lines)
        assert sum(path.stat().st_size for path in folder.iterdir()) <= LOG_BYTES
    end(daemon, "flood")
    said = daemon.api("GET", "/apps/flood/logs?tail=1000").text
    assert "lines dropped: the app wrote too fast" in said


def test_a_crash_loop_is_slowed_and_then_left_alone(daemon: Daemon) -> None:
    """S2: eight starts in all, each later than the last; then `failed`, and only its owner helps."""
    source = """
    import { existsSync, writeFileSync, appendFileSync } from "node:fs";
    appendFileSync("starts", "x");
    if (existsSync("broken")) process.exit(3);
    export default { fetch(request: Request) {
      if (request.url.endsWith("/break")) { writeFileSync("broken", ""); process.exit(3); }
      return new Response("hello");
    } };
    """
    create(daemon, "looper", source)
    starts = Path(app_folder(daemon, "looper")) / "starts"
    assert daemon.ask("looper").text == "hello"
    assert daemon.ask("looper", "/break").status_code in (502, 503, 504)  # a GET may be sent again, and wait
    until(lambda: app(daemon, "looper")["state"] == "backoff", 5)
    began, before = time.monotonic(), starts.stat().st_size
    until(lambda: app(daemon, "looper")["state"] == "failed", 20)
    assert time.monotonic() - began > 6
    assert starts.stat().st_size - before <= 8
    count = starts.stat().st_size
    refused = daemon.ask("looper")
    assert (refused.status_code, refused.headers["steady-error"]) == (503, "app_failed")
    assert starts.stat().st_size == count
    card = app(daemon, "looper")["last_death"]
    assert (card["cause"], card["exit_code"]) == ("exit", 3)
    (Path(app_folder(daemon, "looper")) / "broken").unlink()
    assert daemon.api("POST", "/apps/looper/start").status_code == 200
    assert daemon.ask("looper").text == "hello"
    end(daemon, "looper")


TRICKS = {
    "symlink to the control plane": 'unlinkSync(path); symlinkSync("../control/control.sock", path);',
    "symlink to a file": 'unlinkSync(path); symlinkSync("/etc/passwd", path);',
    "regular file": 'unlinkSync(path); writeFileSync(path, "no socket");',
    "FIFO": 'unlinkSync(path); execFileSync("mkfifo", [path]);',
    "a folder": "unlinkSync(path); mkdirSync(path);",
    "no permission": "chmodSync(path, 0);",
    "bound again": 'unlinkSync(path); require("node:net").createServer(() => {}).listen({ path });',
    "folder renamed": 'renameSync("/run/steady", "/run/steady2");',
}


@pytest.mark.parametrize("when", ["at the start", "later"])
@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
def test_a_socket_that_was_replaced_leads_nowhere_else(daemon: Daemon, trick: str, when: str) -> None:
    """S13: who asks the app gets the app or an error of ours, never a file, the control plane or another app."""
    name = "swindler"
    source = f"""
    import {{ chmodSync, mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync }} from "node:fs";
    import {{ execFileSync }} from "node:child_process";
    const path = "/run/steady/app.sock";
    const play = () => {{ try {{ {trick} return "played"; }} catch (error) {{ return String(error); }} }};
    Bun.serve({{ fetch: (request) => new Response("swindler " + (request.url.endsWith("/play") ? play() : "")) }});
    if ({"true" if when == "at the start" else "false"}) play();
    """
    answer = daemon.api("PUT", f"/apps/{name}", json={"files": {"index.ts": source, f"{name}.txt": "mine"}})
    assert answer.status_code in (200, 201, 422), answer.text
    if answer.status_code != 422:
        daemon.ask(name, "/play")
        for _ in range(3):
            asked = daemon.ask(name)
            assert asked.text.startswith("swindler ") or asked.headers.get("steady-error"), asked.text
        end(daemon, name)
    honest = daemon.api("PUT", f"/apps/{name}", json={"files": {"index.ts": HELLO, f"{name}.txt": "mine"}})
    assert honest.status_code in (200, 201), honest.text
    assert daemon.ask(name).text == "hello"


def test_descriptors_run_out_inside_only(daemon: Daemon) -> None:
    """S10: every descriptor it may have, files and sockets."""
    source = """
    import { openSync } from "node:fs";
    const kept: number[] = [];
    export default { fetch() {
      try { for (let n = 0; n < 1_000_000; n++) kept.push(openSync("/dev/null", "r")); } catch (error: any) {
        return new Response(error.code + " " + kept.length);
      }
      return new Response("no limit");
    } };
    """
    create(daemon, "hoarder", source)
    code, count = daemon.ask("hoarder").text.split()
    assert code == "EMFILE"
    assert int(count) < 70_000
    end(daemon, "hoarder")


@pytest.mark.parametrize("kind", ["closes", "hangs", "trickles"])
def test_a_server_that_stops_serving_can_be_replaced(daemon: Daemon, kind: str) -> None:
    """S14: who waits for it is answered at the swap, and the swap does not wait beyond its deadlines."""
    name = f"silent-{kind}"
    source = """
    const server = Bun.serve({ fetch(request) {
      const kind = new URL(request.url).pathname;
      if (kind === "/closes") setTimeout(() => server.stop(true), 1);
      if (kind === "/hangs") return new Promise<Response>(() => {});
      if (kind === "/trickles") return new Response(new ReadableStream({ async pull(controller) {
        await Bun.sleep(100);
        controller.enqueue(new Uint8Array(1));
      } }));
      return new Response("well");
    } });
    setInterval(() => {}, 1000);
    """
    create(daemon, name, source)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(ended, daemon, name, f"/{kind}") for _ in range(4)]
        time.sleep(0.3)
        began = time.monotonic()
        merge = {"merge": True, "files": {"index.ts": HELLO}}
        assert daemon.api("POST", f"/apps/{name}/deploys", json=merge).status_code == 201
        assert time.monotonic() - began < 2 * GRACE_SECONDS + SLACK_SECONDS
        assert all(future.result() for future in waiting)
    assert daemon.ask(name).text == "hello"
    end(daemon, name)


def ended(daemon: Daemon, name: str, path: str) -> bool:
    """Ask, and be told in one way or another."""
    with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
        daemon.ask(name, path)
    return True
