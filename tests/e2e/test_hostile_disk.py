"""Apps that use the disk against everybody: each is stopped at its own limit, and its neighbour never notices."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.neighbour import Neighbour
from tests.served import Daemon, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives each app a uid of its own")

MIB = 1 << 20
STOP_SECONDS_MAX = 15.0
"""On a busy machine; within about a second on an idle one."""
OVERSHOOT_BYTES_MAX = 2 << 30
DISK = 32 * MIB
HOSTILE = """
import {
  closeSync, existsSync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync,
  writeSync,
} from "node:fs";
const piece = new Uint8Array(4 << 20).fill(7);
const pause = () => new Promise((go) => setTimeout(go, 0));
const ways: Record<string, () => Promise<unknown>> = {
  async hog() {
    mkdirSync("cache", { recursive: true });
    for (let n = 0; ; n++) { writeFileSync(`cache/${n}`, piece); await pause(); }
  },
  async inodes() {
    for (let n = 0; ; n++) {
      if (n % 500 === 0) { mkdirSync(`d${n}`); await pause(); }
      writeFileSync(`d${n - n % 500}/${n}`, "");
    }
  },
  async deleted() {
    for (;;) { const file = openSync("x", "w"); unlinkSync("x"); writeSync(file, piece); await pause(); }
  },
  async sparse() { const file = openSync("sparse", "w"); ftruncateSync(file, 30 << 20); closeSync(file); },
  async large() { const file = openSync("sparse", "w"); ftruncateSync(file, 2_000_000_000); },
  async deep() {
    const down = "/d".repeat(2000);  // a path ends at 4,096 bytes
    for (const top of ["a", "b"]) mkdirSync(top + down, { recursive: true });
    renameSync("b", `a${down}/b`);
  },
  async special() {
    const made = Bun.spawnSync(["mkfifo", "data.sqlite", "pipe"]);
    if (made.exitCode !== 0) throw new Error(made.stderr.toString());
    const links = { public: "/etc", loop: "/app", "page.html": "/etc/passwd" };
    for (const [name, target] of Object.entries(links)) symlinkSync(target, name);
  },
  async many() { for (let n = 0; n < 9000; n++) writeFileSync(`f${n}`, ""); },
  async clean() { rmSync("cache", { recursive: true, force: true }); },
};
export default { async fetch(request: Request) {
  const way = new URL(request.url).pathname.slice(1);
  if (way in ways) await ways[way]();
  return new Response(existsSync("cache") ? "fat" : "lean");
} };
"""


def hostile(daemon: Daemon, name: str, disk: int = DISK) -> None:
    daemon.create(name, {"index.ts": HOSTILE})
    answer = daemon.api("PATCH", f"/apps/{name}/settings", json={"disk": disk})
    assert answer.status_code == 200, answer.text
    daemon.ask(name)


def shown(daemon: Daemon, name: str) -> dict[str, Any]:
    return dict(daemon.api("GET", f"/apps/{name}").json()["app"])


def used_by(daemon: Daemon) -> int:
    found = os.statvfs(daemon.data)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def attack(daemon: Daemon, name: str, way: str) -> tuple[dict[str, Any], float]:
    """Let it do its worst until it is stopped; returns the app, and the seconds that it took."""
    began = time.monotonic()
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(f"{daemon.url}/{way}", headers={"Host": f"{name}.localhost"}, timeout=STOP_SECONDS_MAX)
    until(lambda: (app := shown(daemon, name))["state"] == "failed" and "last_death" in app, STOP_SECONDS_MAX)
    return shown(daemon, name), time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("way", ["hog", "deleted"])
def test_a_hog_is_stopped_says_why_and_may_clean_up(daemon: Daemon, way: str) -> None:
    hostile(daemon, way)
    before = used_by(daemon)
    with Neighbour(daemon):
        app, seconds = attack(daemon, way, way)
    assert seconds < STOP_SECONDS_MAX
    assert used_by(daemon) - before < OVERSHOOT_BYTES_MAX
    death = app["last_death"]
    assert death["cause"] == "disk"
    assert "more than its 32 MiB" in death["message"]
    assert f"steadyd settings {way} disk=64MiB" in death["message"]
    assert ("cache" if way == "hog" else "deleted files") in death["message"]
    assert daemon.ask(way).status_code == 503, "no request starts it"
    assert daemon.api("POST", f"/apps/{way}/start").status_code == 200, "its owner does"
    assert daemon.ask(way).text == ("fat" if way == "hog" else "lean")
    if way == "hog":
        assert daemon.ask(way, "/clean").text == "lean"
        assert shown(daemon, way)["state"] in ("running", "frozen")


@pytest.mark.slow
def test_too_many_files_are_too_much(daemon: Daemon) -> None:
    hostile(daemon, "inodes")
    with Neighbour(daemon):
        app, _ = attack(daemon, "inodes", "inodes")
    assert app["last_death"]["cause"] == "disk"
    assert "10,000 files and folders" in app["last_death"]["message"]


def test_a_sparse_file_is_what_it_holds(daemon: Daemon) -> None:
    hostile(daemon, "sparse")
    assert daemon.ask("sparse", "/sparse").status_code == 200
    answer = daemon.ask("sparse", "/large")
    sizes = [Path(f"/proc/{pid}/limits").read_text().split("Max file size")[1].split()[0] for pid in daemon.instances()]
    assert answer.status_code >= 500 or "unlimited" in sizes  # a zygote's needs CAP_SYS_RESOURCE
    until(lambda: shown(daemon, "sparse")["state"] in ("running", "frozen"))


@pytest.mark.slow
def test_deploys_go_past_whatever_the_app_put_there_and_deleting_is_quick(daemon: Daemon) -> None:
    """4,000 folders deep, FIFOs where a database was, links to the host's files and to itself."""
    hostile(daemon, "tricks", 1 << 30)
    with Neighbour(daemon):
        for way in ("deep", "many", "special"):
            assert daemon.ask("tricks", f"/{way}").status_code == 200
        files = {"index.ts": HOSTILE, "page.html": "mine", "public/a.txt": "mine", "data.sqlite": "x"}
        answer = daemon.api("POST", "/apps/tricks/deploys", json={"files": files})
        assert answer.status_code == 201, answer.text
        assert daemon.ask("tricks").text == "lean"
        folder = daemon.data / "apps" / shown_id(daemon, "tricks")
        assert (folder / "app" / "page.html").read_text() == "mine"
        assert not (folder / "app" / "public").is_symlink()
        began = time.monotonic()
        assert daemon.api("DELETE", "/apps/tricks?purge=1").status_code == 204
        assert time.monotonic() - began < 10.0
        assert not folder.exists()
    assert "root:" in Path("/etc/passwd").read_text()


def shown_id(daemon: Daemon, name: str) -> str:
    """The app's folder, found by who was linked last: ids are nobody's business outside."""
    entries = [entry for entry in (daemon.data / "apps").iterdir() if entry.is_dir()]
    return max(entries, key=lambda entry: (entry / "app").stat().st_ctime if (entry / "app").exists() else 0.0).name
