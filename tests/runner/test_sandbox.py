from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from steadyd.runner import sandbox
from steadyd.runner.sandbox import Room, bare, launcher, options, system_links

LINKS = {"bin": "usr/bin", "lib": "usr/lib", "sbin": ""}
HOST = Path("/host/secret/place")
ROOM = Room(HOST / "app", HOST / "engine", 1_900_000_001, {"KEY": "value"}, runtime=HOST / "run")


def binds(words: list[str]) -> dict[str, tuple[str, str]]:
    """What is seen inside: inner path → (how, host path)."""
    kinds = ("--bind", "--ro-bind", "--ro-bind-try")
    return {words[n + 2]: (word, words[n + 1]) for n, word in enumerate(words) if word in kinds}


def test_nothing_is_shared_but_what_is_named() -> None:
    words = options(ROOM, LINKS)
    for space in ("user", "ipc", "pid", "uts", "net"):
        assert f"--unshare-{space}" in words
    assert ("--cap-drop", "ALL") in list(pairwise(words))
    assert {"--die-with-parent", "--new-session"} <= set(words)


def test_only_the_app_s_own_places_can_be_written() -> None:
    writable = {inner for inner, (how, _) in binds(options(ROOM, LINKS)).items() if how == "--bind"}
    assert writable == {sandbox.APP, sandbox.RUNTIME}
    assert ("--remount-ro", "/") in list(pairwise(options(ROOM, LINKS)))


def test_host_paths_appear_as_sources_only() -> None:
    words = options(ROOM, LINKS)
    inside = [inner for inner in binds(words) if str(HOST) in inner]
    assert inside == []
    assert not any(str(HOST) in word for word in words[-6:]), "not in the environment"


def test_dependencies_and_protected_names_are_read_only() -> None:
    room = Room(HOST / "app", HOST / "engine", None, modules=HOST / "modules", read_only=("index.ts",))
    seen = binds(options(room, LINKS))
    assert seen["/app/node_modules"] == ("--ro-bind", str(HOST / "modules"))
    assert seen["/app/index.ts"] == ("--ro-bind", str(HOST / "app" / "index.ts"))


def test_only_an_installation_has_a_network() -> None:
    room = Room(HOST / "app", HOST / "engine", None, network=True)
    assert "--unshare-net" not in options(room, LINKS)
    assert "/etc/resolv.conf" in binds(options(room, LINKS))
    assert "/etc/resolv.conf" not in binds(options(ROOM, LINKS))


def test_the_private_tmp_is_limited() -> None:
    pairs = list(pairwise(options(ROOM, LINKS)))
    assert ("--size", str(sandbox.TMP_BYTES_MAX)) in pairs
    assert ("--tmpfs", "/tmp") in pairs


def test_the_uid_is_taken_before_bubblewrap_runs() -> None:
    words = launcher(1_900_000_001)
    assert words.index("--reuid=1900000001") < words.index(sandbox.BWRAP)
    assert "--clear-groups" in words
    assert not any("KEY" in word or str(HOST) in word for word in words), "options go through a descriptor"
    assert launcher(None)[0] == sandbox.BWRAP


def test_without_a_sandbox_a_child_still_dies_with_the_daemon_and_loses_its_privileges() -> None:
    words = bare(HOST, 1_900_000_001, linux=True)
    assert {"--no-new-privs", "--reuid=1900000001", "--pdeathsig"} <= set(words)
    assert bare(HOST, None, linux=False)[0] == "/bin/sh"


def test_system_links_are_this_host_s() -> None:
    found = system_links()
    assert "bin" in found
    assert all(os.path.islink(f"/{name}") == bool(target) for name, target in found.items())
