"""Apps that want all memory and all processes, each beside a neighbour that must not notice: killed within their own
limit, and told so."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.arena import app, app_folder, end
from tests.served import Daemon, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="control groups are root's here"),
]

MEMORY_BYTES = 64 << 20
HOST_BYTES_MAX = MEMORY_BYTES + (64 << 20)
PROCESSES = 48
"""A Bun has a dozen threads of its own; the rest is for what it starts."""
DEATH_SECONDS_MAX = 10.0
SAMPLE_SECONDS = 0.02
TRIES = 3
"""The host's memory is everybody's: what others took meanwhile is not the app's doing."""
HOGS = {
    "arrays": "for (;;) kept.push(new Array(1 << 17).fill(Math.random()));",
    "objects": "for (let n = 0; ; n++) kept.push({ n, text: `item ${n}`, next: { n } });",
    "buffers": "for (;;) kept.push(Buffer.alloc(1 << 20, 1));",
    "shared": "for (;;) kept.push(new Uint8Array(new SharedArrayBuffer(1 << 20)).fill(1));",
    "tmp": "for (let n = 0; ; n++) require('fs').writeFileSync(`/tmp/${n}`, Buffer.alloc(1 << 20, 1));",
}
SOURCE = f"""
const kept: any[] = [];
const hogs: Record<string, () => void> = {{ {", ".join(f"{name}() {{ {code} }}" for name, code in HOGS.items())} }};
export default {{ fetch(request: Request) {{
  hogs[new URL(request.url).pathname.slice(1)]?.();
  return new Response("hello");
}} }};
"""


def create(daemon: Daemon, name: str, source: str, **limits: object) -> None:
    package = json.dumps({"steady": limits})
    daemon.create(name, {"index.ts": source, "package.json": package, f"{name}.txt": "mine"})


def available_bytes() -> int:
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))


@contextmanager
def dip() -> Iterator[list[int]]:
    """How far the host's available memory falls while the block runs, in bytes, as its one item."""
    found, before, over = [0], available_bytes(), threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            found[0] = max(found[0], before - available_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("kind", HOGS)
def test_a_memory_hog_dies_within_its_own_limit(attacked: Daemon, kind: str) -> None:
    """S9: whatever the memory is made of, its group is killed whole, and the host hardly notices."""
    name = f"hog-{kind}"
    create(attacked, name, SOURCE, memory=f"{MEMORY_BYTES >> 20}MiB")
    for number in range(TRIES):
        with dip() as taken:
            began = time.monotonic()
            answer = attacked.ask(name, f"/{kind}")
            assert answer.status_code in (502, 503, 504), answer.text
            card = until(lambda: app(attacked, name).get("last_death"), DEATH_SECONDS_MAX)
            assert time.monotonic() - began < DEATH_SECONDS_MAX
        assert card["cause"] == "memory", card
        assert card["memory_limit_bytes"] == MEMORY_BYTES
        assert card["memory_peak_bytes"] <= MEMORY_BYTES * 1.02
        assert f"{MEMORY_BYTES >> 20} MiB" in card["message"]
        if taken[0] < HOST_BYTES_MAX or number == TRIES - 1:
            break
    assert taken[0] < HOST_BYTES_MAX
    assert attacked.ask(name).text == "hello"
    end(attacked, name)


def test_the_page_cache_of_one_app_is_its_own(attacked: Daemon) -> None:
    """S9: files written and read are memory too, but such as can be given back: nobody dies of them."""
    source = """
    import { closeSync, openSync, readSync, writeSync } from "node:fs";
    const piece = Buffer.alloc(1 << 20, 1);
    function each(flags: string, use: (file: number) => void): void {
      for (let n = 0; n < 16; n++) {
        const file = openSync(`file-${n}`, flags);
        for (let m = 0; m < 16; m++) use(file);
        closeSync(file);
      }
    }
    export default { fetch(request: Request) {
      if (request.url.endsWith("/cache")) {
        each("w", (file) => writeSync(file, piece));
        each("r", (file) => readSync(file, piece));
      }
      return new Response("hello");
    } };
    """
    create(attacked, "pages", source, memory=f"{MEMORY_BYTES >> 20}MiB")
    with dip() as taken:
        assert attacked.ask("pages", "/cache").text == "hello"
    assert taken[0] < HOST_BYTES_MAX
    assert app(attacked, "pages").get("last_death") is None
    end(attacked, "pages")


def test_a_fork_bomb_fills_only_its_own_house(attacked: Daemon) -> None:
    """S8: forks are refused inside, the neighbour's are not, and it ends with all that it made."""
    source = """
    export default { async fetch(request: Request) {
      if (!request.url.endsWith("/bomb")) return new Response("hello");
      let started = 0;
      try { for (;; started++) Bun.spawn(["sleep", "60"]); } catch (error: any) {
        return Response.json({ started, refused: String(error) });
      }
    } };
    """
    create(attacked, "bomb", source, processes=PROCESSES)
    identity = app_folder(attacked, "bomb")
    told = attacked.ask("bomb", "/bomb").json()
    assert "EAGAIN" in told["refused"] or "Resource temporarily unavailable" in told["refused"], told
    assert 0 < told["started"] < PROCESSES
    assert told["started"] < len(processes_of(attacked, identity)) <= PROCESSES
    assert attacked.ask("neighbour").text == "well"
    end(attacked, "bomb")


def processes_of(daemon: Daemon, identity: str) -> list[int]:
    from tests.e2e.arena import mounts

    return [pid for pid in daemon.instances() if identity in mounts(pid)]
