"""What an app reaches of the network: real packets, in a world of namespaces, with listeners that count."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from steadyd.runner.candidate import OFFLINE_SECONDS_MAX
from steadyd.runner.plumbing import missing_packages
from tests.outside import (
    ALSO_PUBLIC,
    BRIDGE,
    HOST,
    HOST_TOO,
    MAIL,
    METADATA,
    OTHER,
    PRIVATE,
    PUBLIC,
    REFUSED,
    RESOLVER,
    TLS,
    WEB,
    Outside,
    entered,
    outside,
)
from tests.served import NOBODY, Daemon, as_ordinary_user, data_folder, remove, until

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, to make a world"),
    pytest.mark.skipif(sys.platform == "linux" and bool(missing_packages()), reason="needs passt, nftables, iproute2"),
]

APP = """
import dgram from "node:dgram";
import net from "node:net";
const late = (what) => new Promise((done) => setTimeout(() => done(`late ${what}`), 3000));
const ways = {
  fetch: async (url) => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(3000) });
    return await answer.text();
  },
  bun: (host, port) => new Promise((done) => Bun.connect({ hostname: host, port, socket: {
    open(socket) { socket.end(); done("open"); }, data() {}, connectError(_, error) { done(String(error)); },
  } }).catch((error) => done(String(error)))),
  node: (host, port) => new Promise((done) => {
    const socket = net.connect({ host, port }, () => { socket.destroy(); done("open"); });
    socket.on("error", (error) => done(String(error)));
  }),
  patient: (host, port) => new Promise((done) => {
    const socket = net.connect({ host, port }, () => setTimeout(() => socket.write("GET / HTTP/1.1\\r\\n\\r\\n"), 500));
    socket.on("data", (data) => done(String(data).split("\\r\\n\\r\\n")[1]));
    socket.on("error", () => done("cut"));
    socket.on("close", () => done("cut"));
  }),
  udp: (host, port) => new Promise((done) => {
    const socket = dgram.createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.on("error", (error) => done(String(error)));
    socket.send("?", port, host, (error) => { done(String(error ?? "sent")); });
  }),
};
export default {
  async fetch(request) {
    if (request.method === "GET") return new Response("hello");
    const tries = await request.json();
    const one = ([way, ...words]) => Promise.race([ways[way](...words), late(words)]).catch((error) => String(error));
    return Response.json(await Promise.all(tries.map(one)));
  },
};
"""
LOOPBACK = (
    "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0", "127.9.9.9", "[::1]",
    "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "local.test",
)  # fmt: skip
INWARD = (
    *REFUSED, "167838211", "0xa010203", "012.1.2.3", "[::ffff:10.1.2.3]", "[::ffff:a01:203]", "[64:ff9b::a01:203]",
    "3232237319", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]",
    "[fe80::1]", "private.test", "metadata.test", "host.test", HOST, HOST_TOO, BRIDGE, RESOLVER, "198.18.0.1",
    "198.18.0.6", "198.19.255.53", "0.0.0.1", "224.0.0.1", "255.255.255.255",
)  # fmt: skip
"""Spellings of what an app may not reach."""
Try = tuple[str | int, ...]


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Outside, Daemon]]:
    data = data_folder()
    try:
        with outside(data.parent) as around:
            daemon = Daemon(data, before=around.command)
            try:
                daemon.create("out", {"index.ts": APP})
                yield around, daemon
                assert daemon.stop() == 0, "".join(daemon.output)
            finally:
                daemon.kill()
    finally:
        remove(data)


def attempt(daemon: Daemon, tries: list[Try], name: str = "out") -> list[str]:
    answer = daemon.ask(name, method="POST", json=tries)
    assert answer.status_code == 200, answer.text
    said: list[str] = answer.json()
    return said


def attempt_in(namespace: int, daemon: Daemon, tries: list[Try], name: str) -> list[str]:
    """The same from another thread."""
    with entered(namespace):
        return attempt(daemon, tries, name)


def every_way(host: str, port: int) -> list[Try]:
    bare = host.strip("[]")
    ways: list[Try] = [("fetch", f"http://{host}:{port}/"), ("bun", bare, port), ("node", bare, port)]
    return [*ways, ("udp", bare, port)]


def reached(around: Outside) -> set[tuple[str, str, int]]:
    """What was touched; names are always asked for, at the resolver."""
    return {touch for touch in around.touched if touch != ("udp", RESOLVER, 53)}


def test_an_app_reaches_the_public_internet_and_nothing_else(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    around.touched.clear()
    for host in (*LOOPBACK, *INWARD):
        said = attempt(daemon, [*every_way(host, OTHER), ("bun", host.strip("[]"), daemon.port)])
        assert not [line for line in said if line == "open" or line.startswith("reached")], (host, said)
        assert not [line for line in said if line.startswith("late")], (host, said)
    attempt(daemon, [("udp", METADATA, 53), ("udp", RESOLVER, 53), ("bun", PUBLIC, MAIL), ("node", PUBLIC, 587)])
    assert reached(around) == set()
    assert ("udp", METADATA, 53) not in around.touched
    for host in (PUBLIC, ALSO_PUBLIC):
        said = attempt(daemon, every_way(host, OTHER))
        assert said == [f"reached {host}:{OTHER}", "open", "open", "sent"]
    assert attempt(daemon, [("fetch", "http://public.test/")]) == [f"reached {PUBLIC}:80"]
    until(lambda: ("udp", ALSO_PUBLIC, OTHER) in around.touched)
    wanted = {(kind, host, OTHER) for kind in ("tcp", "udp") for host in (PUBLIC, ALSO_PUBLIC)}
    assert reached(around) == wanted | {("tcp", PUBLIC, WEB)}


def test_neither_a_redirect_nor_a_name_that_changes_leads_inward(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    around.touched.clear()
    for host in (PRIVATE, "2852039166", "127.0.0.1", HOST):
        (said,) = attempt(daemon, [("fetch", f"http://{PUBLIC}/to?http://{host}:{OTHER}/")])
        assert not said.startswith("reached"), said
    for _ in range(8):
        attempt(daemon, [("fetch", f"http://rebind.test:{OTHER}/"), ("node", "rebind.test", OTHER)])
    assert reached(around) <= {("tcp", PUBLIC, WEB), ("tcp", PUBLIC, OTHER)}
    assert ("tcp", PUBLIC, WEB) in around.touched


def test_a_guest_reaches_web_ports_only(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    answer = httpx.post(f"{daemon.url}/api/apps", json={"name": "guest-out", "files": {"index.ts": APP}}, timeout=60)
    assert answer.status_code == 201, answer.text
    around.touched.clear()
    tries: list[Try] = [("bun", PUBLIC, WEB), ("bun", PUBLIC, TLS), ("bun", PUBLIC, OTHER), ("udp", PUBLIC, OTHER)]
    tries += [("bun", PRIVATE, WEB), ("fetch", "http://public.test/")]
    said = attempt(daemon, tries, "guest-out")
    assert [said[0], said[1], said[5]] == ["open", "open", f"reached {PUBLIC}:80"]
    assert reached(around) == {("tcp", PUBLIC, WEB), ("tcp", PUBLIC, TLS)}


def test_an_app_without_network_reaches_nothing(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    daemon.create("shut", {"index.ts": APP})
    assert attempt(daemon, [("bun", PUBLIC, WEB)], "shut") == ["open"]
    changed: Any = daemon.api("PATCH", "/apps/shut/settings", json={"network": "none"})
    assert changed.status_code == 200, changed.text
    around.touched.clear()
    said = attempt(daemon, [*every_way(PUBLIC, OTHER), ("fetch", "http://public.test/")], "shut")
    assert not [line for line in said if line.startswith(("open", "reached", "late"))], said
    assert around.touched.total() == 0


def test_a_trial_has_no_network(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    tries = f"await Promise.allSettled([fetch('http://{PUBLIC}:{OTHER}/'), fetch('http://public.test/')]);\n"
    daemon.create("tried", {"index.ts": APP})
    around.touched.clear()
    code = f'if (process.env.STEADY_ENV === "trial") {tries}{APP}'
    answer = daemon.api("POST", "/apps/tried/deploys", json={"files": {"index.ts": code}})
    assert answer.status_code == 201, answer.text
    assert around.touched.total() == 0


STARTS_ONLINE = """
const answer = await fetch("http://public.test:%d/").then((answer) => answer.text(), (error) => `${error}`);
if (!answer.startsWith("reached")) throw new Error(`no start without it: ${answer}`);
"""
SICK_OFFLINE = """
export default { async fetch() {
  const answers = await Promise.all(["http://public.test:%d/", "http://%s:%d/"].map((url) => fetch(url)));
  return new Response(await answers[0].text());
} };
"""


def trial_of(answer: Any) -> dict[str, Any]:
    (found,) = [step for step in answer["deploy"]["steps"] if step["name"] == "trial"]
    return dict(found)


def test_what_cannot_start_offline_is_tried_once_more_with_its_own_network(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    daemon.create("needy", {"index.ts": APP})
    around.touched.clear()
    answer = daemon.api("POST", "/apps/needy/deploys", json={"files": {"index.ts": STARTS_ONLINE % OTHER + APP}})
    assert answer.status_code == 201, answer.text
    assert trial_of(answer.json())["hosts"] == ["public.test"]
    (note,) = answer.json()["notes"]
    assert "public.test" in note
    assert note.endswith("so it was tried with the app's own network.")
    assert around.touched["tcp", PUBLIC, OTHER] >= 2, "once by the trial, once when it went live"
    (deploy, *_) = daemon.api("GET", "/apps/needy/deploys").json()["deploys"]
    assert trial_of({"deploy": deploy})["hosts"] == ["public.test"]


def test_what_asks_again_for_ever_is_not_waited_for_for_long(world: tuple[Outside, Daemon]) -> None:
    _, daemon = world
    asks = f"""
    for (let tries = 0; ; tries++)
      try {{ await fetch("http://public.test:{OTHER}/"); break; }} catch {{ await Bun.sleep(20); }}
    """
    began = time.monotonic()
    answer = daemon.api("POST", "/apps", json={"name": "patient", "files": {"index.ts": asks + APP}})
    assert answer.status_code == 201, answer.text
    assert OFFLINE_SECONDS_MAX < time.monotonic() - began < OFFLINE_SECONDS_MAX + 10
    assert trial_of(answer.json())["hosts"] == ["public.test"]


def test_what_cannot_start_offline_keeps_its_bytecode(world: tuple[Outside, Daemon]) -> None:
    _, daemon = world
    pad = "export const pad = [\n" + '  "something to read at each start",\n' * 2500 + "];\n"
    source = f"""
    import {{ pad }} from "./pad";
    const serve = () => Bun.serve({{ fetch: () => new Response(`${{pad.length}}`) }});
    fetch("http://public.test:{OTHER}/").then(serve, () => process.exit(1));
    """
    before = set(daemon.data.glob("apps/*/bundles/*/index.js"))
    answer = daemon.api("POST", "/apps", json={"name": "compiled", "files": {"index.ts": source, "pad.ts": pad}})
    assert answer.status_code == 201, answer.text
    assert trial_of(answer.json())["hosts"] == ["public.test"]
    assert len(set(daemon.data.glob("apps/*/bundles/*/index.js")) - before) == 1
    assert daemon.ask("compiled").text == "2500"


def test_with_the_network_off_it_fails_and_says_for_what(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    daemon.create("strict", {"index.ts": APP})
    around.touched.clear()
    source = {"index.ts": STARTS_ONLINE % OTHER + APP}
    files = {**source, "steady.json": '{"trial": {"network": "off"}}'}
    answer = daemon.api("POST", "/apps/strict/deploys", json={"files": files})
    assert answer.status_code == 422
    details = answer.json()["error"]["details"]
    assert details["step"] == "trial"
    assert "had asked for public.test" in details["reason"]
    assert around.touched.total() == 0
    (deploy, *_) = daemon.api("GET", "/apps/strict/deploys").json()["deploys"]
    assert trial_of({"deploy": deploy})["hosts"] == ["public.test"]
    assert daemon.api(
        "PATCH", "/apps/strict/settings", json={"network": "none", "trial": {"network": "auto"}}
    ).is_success
    assert daemon.api("POST", "/apps/strict/deploys", json={"files": source}).status_code == 422, "its own is none"
    assert around.touched.total() == 0


def test_a_health_answer_that_fails_offline_is_reported_and_not_judged(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    source = SICK_OFFLINE % (OTHER, PUBLIC, OTHER)
    around.touched.clear()
    answer = daemon.api("POST", "/apps", json={"name": "sick", "files": {"index.ts": source}})
    assert answer.status_code == 201, answer.text
    (note,) = answer.json()["notes"]
    assert note.startswith("GET / answered 500.")
    assert set(trial_of(answer.json())["hosts"]) == {"public.test", f"{PUBLIC}:{OTHER}"}
    assert around.touched.total() == 0
    assert daemon.ask("sick").text.startswith("reached")


def test_a_trial_may_have_the_apps_network_from_the_start(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    files = {"index.ts": STARTS_ONLINE % OTHER + APP, "steady.json": '{"trial": {"network": "app"}}'}
    around.touched.clear()
    answer = daemon.api("POST", "/apps", json={"name": "online", "files": files})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["notes"], trial_of(answer.json())["hosts"]) == ([], [])
    assert around.touched["tcp", PUBLIC, OTHER] >= 2


def test_a_trial_learns_every_client_s_hosts_at_once(world: tuple[Outside, Daemon]) -> None:
    """Whatever an app connects with, it is refused at once, and seen."""
    _, daemon = world
    source = """
    import net from "node:net";
    import dns from "node:dns/promises";
    import { SQL, RedisClient } from "bun";
    const began = performance.now();
    const node = (port, host) => new Promise((done) => net.connect(port, host).on("error", done).on("connect", done));
    if (process.env.STEADY_ENV === "trial") await Promise.allSettled([
      fetch("https://fetch.example.com/"), node(5432, "node.example.com"), node(6379, "203.0.113.7"),
      dns.resolve4("resolve.example.com"), new SQL("postgres://u:p@sql.example.com/x")`select 1`,
      new Promise((done) => { new WebSocket("wss://socket.example.com/").onerror = done; }),
      Bun.connect({ hostname: "bun.example.com", port: 1, socket: { data() {} } }),
    ]);
    const took = performance.now() - began;
    if (took > 5000) throw new Error(`it took ${took} ms`);
    """
    answer = daemon.api("POST", "/apps", json={"name": "asker", "files": {"index.ts": source + APP}})
    assert answer.status_code == 201, answer.text
    names = [f"{name}.example.com" for name in ("fetch", "node", "resolve", "sql", "socket", "bun")]
    assert set(trial_of(answer.json())["hosts"]) == {*names, "203.0.113.7:6379"}


def test_a_private_app_reaches_its_owner_s_apps_by_name_and_nothing_else(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    for name in ("caller", "callee"):
        daemon.create(name, {"index.ts": APP})
    files = {"index.ts": APP, "steady.json": '{"network": "private"}'}
    guest = {"name": "theirs", "files": files}
    assert httpx.post(f"{daemon.url}/api/apps", json=guest, timeout=60).status_code == 201
    assert daemon.api("PATCH", "/apps/caller/settings", json={"network": "private"}).status_code == 200
    around.touched.clear()
    daemon.api("POST", "/apps/callee/stop")
    (said,) = attempt(daemon, [("fetch", "http://callee.internal/")], "caller")
    assert said == "hello", "the call wakes it"
    for name in ("theirs", "nobody", "steadyd", "localhost"):
        (said,) = attempt(daemon, [("fetch", f"http://{name}.internal/")], "caller")
        assert "Nothing is served under this host name" in said, said
    (said,) = attempt(daemon, [("fetch", "http://caller.internal/")], "theirs")
    assert "Nothing is served under this host name" in said, "a guest's door leads to the guest's apps"
    inward = [f"http://{host}:{OTHER}/" for host in (PUBLIC, PRIVATE, HOST, METADATA, "public.test", "host")]
    refused = attempt(daemon, [*(("fetch", url) for url in inward), ("udp", PUBLIC, OTHER)], "caller")
    assert not [line for line in refused if line.startswith(("reached", "late", "open", "hello"))], refused
    daemon.create("newcomer", {"index.ts": APP})
    assert attempt(daemon, [("fetch", "http://newcomer.internal/")], "caller") == ["hello"]
    assert around.touched.total() == 0


def test_what_the_operator_opens_is_open_at_once_and_to_that_app_only(world: tuple[Outside, Daemon]) -> None:
    around, daemon = world
    for name in ("trusted", "other"):
        daemon.create(name, {"index.ts": APP})
    tries: list[Try] = [("fetch", f"http://{PRIVATE}:{OTHER}/"), ("fetch", f"http://host:{OTHER}/")]
    assert not [said for said in attempt(daemon, tries, "trusted") if said.startswith("reached")]
    for target in (f"{PRIVATE}:{OTHER}", f"host:{OTHER}"):
        answer = daemon.api("POST", "/apps/trusted/targets", json={"target": target})
    assert answer.json() == {"targets": [f"{PRIVATE}:{OTHER}", f"host:{OTHER}"]}
    around.touched.clear()
    wanted = [f"reached {PRIVATE}:{OTHER}", f"reached 127.0.0.1:{OTHER}"]
    assert attempt(daemon, tries, "trusted") == wanted
    assert attempt(daemon, [("bun", PRIVATE, WEB), ("udp", PRIVATE, OTHER)], "trusted")[0] != "open"
    assert not [said for said in attempt(daemon, tries, "other") if said.startswith("reached")]
    assert reached(around) == {("tcp", PRIVATE, OTHER), ("tcp", "127.0.0.1", OTHER)}
    daemon.api("POST", "/apps/trusted/restart")
    assert attempt(daemon, tries, "trusted") == wanted, "also to the next instance"
    assert attempt(daemon, [("patient", PRIVATE, OTHER)], "trusted") == wanted[:1]
    around.touched.clear()
    with ThreadPoolExecutor(1) as elsewhere:
        talking = elsewhere.submit(attempt_in, around.host, daemon, [("patient", PRIVATE, OTHER)], "trusted")
        until(lambda: ("tcp", PRIVATE, OTHER) in around.touched)
        assert daemon.api("DELETE", f"/apps/trusted/targets/{PRIVATE}:{OTHER}").status_code == 200
        assert talking.result() == ["cut"], "also what is connected"
    assert daemon.api("DELETE", f"/apps/trusted/targets/host:{OTHER}").status_code == 200
    assert not [said for said in attempt(daemon, tries, "trusted") if said.startswith("reached")]


def test_an_ordinary_user_s_apps_reach_as_much() -> None:
    """All of them share one uid there, but no namespace."""
    data = data_folder()
    os.chown(data.parent, NOBODY, NOBODY)
    try:
        with outside(data.parent) as around:
            daemon = Daemon(data, before=(*around.command, *as_ordinary_user()))
            try:
                daemon.create("out", {"index.ts": APP})
                for host in (
                    "127.0.0.1",
                    "2130706433",
                    PRIVATE,
                    "2852039166",
                    "private.test",
                    HOST,
                    BRIDGE,
                    "198.18.0.1",
                ):
                    said = attempt(daemon, every_way(host, OTHER))
                    assert not [line for line in said if line.startswith(("open", "reached", "late"))], (host, said)
                assert reached(around) == set()
                assert attempt(daemon, [("fetch", "http://public.test/")]) == [f"reached {PUBLIC}:80"]
                daemon.create("near", {"index.ts": APP, "steady.json": '{"network": "private"}'})
                assert attempt(daemon, [("fetch", "http://out.internal/")], "near") == ["hello"]
                assert daemon.stop() == 0, "".join(daemon.output)
            finally:
                daemon.kill()
    finally:
        remove(data)


def test_after_kill_9_no_plumber_and_no_router_is_left(world: tuple[Outside, Daemon]) -> None:
    _, daemon = world
    before = plumbing()
    assert len(before) == 2
    assert daemon.api("POST", "/apps/out/targets", json={"target": f"{PRIVATE}:{OTHER}"}).status_code == 200
    daemon.kill()
    until(lambda: not before & plumbing(), 5.0)
    daemon.start()
    tries: list[Try] = [("bun", PUBLIC, WEB), ("bun", PRIVATE, OTHER), ("bun", METADATA, OTHER)]
    assert attempt(daemon, tries)[:2] == ["open"] * 2, "what the operator opened stays open"
    assert attempt(daemon, tries)[2] != "open"


def plumbing() -> set[int]:
    """Pids of plumbers and pastas on this test's host."""
    own = os.readlink("/proc/thread-self/ns/net")
    found = set()
    for name in os.listdir("/proc"):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0") if name.isdigit() else []
            if any(word.endswith((b"plumber.py", b"pasta")) for word in words):
                ours = os.readlink(f"/proc/{name}/ns/net") == own or b"plumber.py" in b" ".join(words)
                parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
                if ours and os.readlink(f"/proc/{parent}/ns/net") == own:
                    found.add(int(name))
        except OSError:
            continue
    return found
