"""Apps that misbehave as processes, each beside a neighbour that must not notice, under a real daemon."""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.arena import (
    GRACE_SECONDS,
    HELLO,
    LOG_BYTES,
    SLACK_SECONDS,
    START_SECONDS,
    app,
    app_folder,
    create,
    end,
    mounts,
)
from tests.served import Daemon, until

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


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
def test_a_start_that_never_ends_is_ended(attacked: Daemon, source: str) -> None:
    name = "starter"
    if attacked.api("GET", f"/apps/{name}").status_code == 404:
        create(attacked, name, HELLO)
    refused_start(attacked, name, source)
    end(attacked, name)
    attacked.api("POST", f"/apps/{name}/start")


def test_a_handler_that_spins_takes_only_its_own_requests(attacked: Daemon) -> None:
    """S5: twenty requests hang in it; the list of apps is quick, and it can be stopped."""
    source = 'if (request.url.endsWith("/spin")) for (;;); return new Response("hello");'
    create(attacked, "spinner", f"export default {{ fetch(request: Request) {{ {source} }} }};")
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        spinning = [threads.submit(attacked.ask, "spinner", "/spin") for _ in range(20)]
        time.sleep(0.5)
        began = time.monotonic()
        assert attacked.api("GET", "/apps").status_code == 200
        assert time.monotonic() - began < 0.3
        end(attacked, "spinner")
        answers = [future.result() for future in spinning]
    assert {answer.status_code for answer in answers} <= {502, 503, 504}
    assert all("steady-error" in answer.headers for answer in answers)


def test_ignoring_sigterm_helps_for_the_grace_period_only(attacked: Daemon) -> None:
    create(attacked, "deaf", f'process.on("SIGTERM", () => {{}}); process.on("SIGHUP", () => {{}});\n{HELLO}')
    assert attacked.ask("deaf").text == "hello"
    end(attacked, "deaf")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_no_grandchild_outlives_its_app(attacked: Daemon, how: str) -> None:
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
    create(attacked, name, source)
    until(lambda: int(attacked.ask(name).text) >= 3)
    folder = app_folder(attacked, name)
    before = {pid for pid in attacked.instances() if folder in mounts(pid)}
    assert len(before) >= 4
    if how == "kill":
        assert attacked.ask(name, "/die").status_code == 502
        until(lambda: not before & set(attacked.instances()), 3)
    end(attacked, name)


def test_a_flood_is_read_counted_and_capped(attacked: Daemon) -> None:
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
    create(attacked, "flood", source)
    folder = Path(app_folder(attacked, "flood")).parent / "logs"
    for kind in ("/lines", "/line", "/binary"):
        assert attacked.ask("flood", kind).text == "done"
        began = time.monotonic()
        lines = attacked.api("GET", "/apps/flood/logs?tail=5").text.splitlines()
        assert time.monotonic() - began < 0.3
        assert all(len(line) < 17_000 for line in lines)
        assert sum(path.stat().st_size for path in folder.iterdir()) <= LOG_BYTES
    end(attacked, "flood")
    said = attacked.api("GET", "/apps/flood/logs?tail=1000").text
    assert "lines dropped: the app wrote too fast" in said


def test_a_crash_loop_is_slowed_and_then_left_alone(attacked: Daemon) -> None:
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
    create(attacked, "looper", source)
    starts = Path(app_folder(attacked, "looper")) / "starts"
    assert attacked.ask("looper").text == "hello"
    assert attacked.ask("looper", "/break").status_code in (502, 503, 504)  # a GET may be sent again, and wait
    until(lambda: app(attacked, "looper")["state"] == "backoff", 5)
    began, before = time.monotonic(), starts.stat().st_size
    until(lambda: app(attacked, "looper")["state"] == "failed", 20)
    assert time.monotonic() - began > 6
    assert starts.stat().st_size - before <= 8
    count = starts.stat().st_size
    refused = attacked.ask("looper")
    assert (refused.status_code, refused.headers["steady-error"]) == (503, "app_failed")
    assert starts.stat().st_size == count
    card = app(attacked, "looper")["last_death"]
    assert (card["cause"], card["exit_code"]) == ("exit", 3)
    (Path(app_folder(attacked, "looper")) / "broken").unlink()
    assert attacked.api("POST", "/apps/looper/start").status_code == 200
    assert attacked.ask("looper").text == "hello"
    end(attacked, "looper")


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
def test_a_socket_that_was_replaced_leads_nowhere_else(attacked: Daemon, trick: str, when: str) -> None:
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
    answer = attacked.api("PUT", f"/apps/{name}", json={"files": {"index.ts": source, f"{name}.txt": "mine"}})
    assert answer.status_code in (200, 201, 422), answer.text
    if answer.status_code != 422:
        attacked.ask(name, "/play")
        for _ in range(3):
            asked = attacked.ask(name)
            assert asked.text.startswith("swindler ") or asked.headers.get("steady-error"), asked.text
        end(attacked, name)
    honest = attacked.api("PUT", f"/apps/{name}", json={"files": {"index.ts": HELLO, f"{name}.txt": "mine"}})
    assert honest.status_code in (200, 201), honest.text
    assert attacked.ask(name).text == "hello"


def test_descriptors_run_out_inside_only(attacked: Daemon) -> None:
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
    create(attacked, "hoarder", source)
    code, count = attacked.ask("hoarder").text.split()
    assert code == "EMFILE"
    assert int(count) < 70_000
    end(attacked, "hoarder")


@pytest.mark.parametrize("kind", ["closes", "hangs", "trickles"])
def test_a_server_that_stops_serving_can_be_replaced(attacked: Daemon, kind: str) -> None:
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
    create(attacked, name, source)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(ended, attacked, name, f"/{kind}") for _ in range(4)]
        time.sleep(0.3)
        began = time.monotonic()
        merge = {"merge": True, "files": {"index.ts": HELLO}}
        assert attacked.api("POST", f"/apps/{name}/deploys", json=merge).status_code == 201
        assert time.monotonic() - began < 2 * GRACE_SECONDS + SLACK_SECONDS
        assert all(future.result() for future in waiting)
    assert attacked.ask(name).text == "hello"
    end(attacked, name)


def ended(daemon: Daemon, name: str, path: str) -> bool:
    """Ask, and be told in one way or another."""
    with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
        daemon.ask(name, path)
    return True
