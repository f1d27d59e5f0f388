"""What the doctor finds about isolation: held against this machine, and against ones that lack something."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from steadyd.cli import isolation
from steadyd.cli.finding import Finding
from steadyd.runner.plumbing import missing_packages
from tests.served import data_folder, remove

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is Linux's")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes another uid")


@pytest.fixture
def data() -> Iterator[Path]:
    data = data_folder()
    yield data
    remove(data)


def test_another_system_has_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    ((name, check),) = isolation.isolation(tmp_path)
    assert (name, check().state) == ("sandbox", "ok")


@pytest.mark.sandbox
def test_user_namespaces_work_here() -> None:
    assert isolation.user_namespaces() == Finding("user namespaces", "ok", "can be made without privilege")


@needs_root
@pytest.mark.sandbox
def test_refused_user_namespaces_are_a_problem(in_child: Callable[[Callable[[], None]], int]) -> None:
    """Refused for real: no room for one more in a user namespace of our own (namespaces(7))."""

    def refuse() -> None:
        libc = __import__("ctypes").CDLL(None)
        assert libc.unshare(0x10000000) == 0
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        found = isolation.user_namespaces()
        assert found.state == "problem", found
        assert found.fix == "sudo sysctl -w user.max_user_namespaces=15000", found

    assert in_child(refuse) == 0


@needs_root
def test_a_limited_group_is_made_and_leaves_nothing() -> None:
    found = isolation.cgroups()
    assert found.state == "ok", found
    assert "can be limited" in found.detail
    assert list(isolation.CGROUP_ROOT.glob(f"**/steadyd-doctor-{os.getpid()}*")) == []


@pytest.mark.parametrize(
    ("version", "uid", "fix"),
    [(2, 1000, "systemd-run --user --scope"), (2, 0, "Delegate=yes"), (1, 1000, "sudo steadyd serve")],
)
def test_control_groups_are_asked_for_where_they_are_handed_out(
    tmp_path: Path, version: int, uid: int, fix: str
) -> None:
    if version == 2:
        (tmp_path / "cgroup.controllers").touch()
    assert fix in isolation.delegation_fix(tmp_path, uid)


@needs_root
def test_refused_control_groups_are_a_problem(in_child: Callable[[Callable[[], None]], int]) -> None:
    """As an ordinary user meets them."""

    def refused() -> None:
        os.setresuid(65534, 65534, 65534)
        found = isolation.cgroups()
        assert found.state == "problem", found
        assert "without limits" in found.detail, found
        assert found.fix, found

    assert in_child(refused) == 0


@pytest.mark.sandbox
def test_the_sandbox_works_here(data: Path) -> None:
    found = isolation.sandbox(data)
    assert found.state == "ok", found
    assert "bubblewrap" in found.detail
    assert not data.exists()


def test_no_bubblewrap_names_the_package(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    found = isolation.sandbox(data)
    assert (found.state, found.fix, found.is_fatal) == ("problem", "sudo apt-get install -y bubblewrap", False)


@needs_root
def test_a_closed_folder_above_the_data_names_the_command(data: Path) -> None:
    data.parent.chmod(0o700)
    found = isolation.sandbox(data)
    assert (found.state, found.fix) == ("problem", f"sudo chmod o+x {data.parent}")


@pytest.mark.sandbox
def test_a_sandbox_that_refuses_is_a_problem(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadyd.runner.sandbox.INNER_ID", -5)
    found = isolation.sandbox(data)
    assert found.state == "problem"
    assert "cannot start a program" in found.detail
    assert found.fix


def test_gaps_of_a_program_that_is_not_confined() -> None:
    confined = "Name:\tbun\nNoNewPrivs:\t1\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nSeccomp:\t2\n"
    assert isolation.confinement_gaps(confined) == []
    assert isolation.confinement_gaps(confined.replace("CapBnd:\t0", "CapBnd:\t1")) == ["has capabilities"]
    assert isolation.confinement_gaps(confined.replace("Privs:\t1", "Privs:\t0")) == ["may gain privileges"]
    assert isolation.confinement_gaps(confined.replace("comp:\t2", "comp:\t0")) == ["may make any system call"]
    assert len(isolation.confinement_gaps("")) == 3


def test_missing_network_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name in ("pasta", "nft") else found(name))
    problem = isolation.network()
    assert (problem.state, problem.fix) == ("problem", "sudo apt-get install -y passt nftables")


def test_tun(tmp_path: Path) -> None:
    assert "cannot" not in isolation.tun(Path("/dev/null")).detail
    missing = isolation.tun(tmp_path / "tun")
    assert missing.state == "problem"
    assert "modprobe tun" in missing.fix


def test_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for hard, state in ((65_536, "ok"), (resource.RLIM_INFINITY, "ok"), (1_024, "problem")):
        monkeypatch.setattr(resource, "getrlimit", lambda _, hard=hard: (1_024, hard))
        assert isolation.open_files().state == state
    assert "about 512 at once" in isolation.open_files().detail


def test_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert isolation.users().state == "ok"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "all apps share your uid" in isolation.users().detail


@pytest.fixture
def in_child() -> Callable[[Callable[[], None]], int]:
    """Run a function in a fork; returns its exit code."""

    def run(work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return run


@pytest.mark.process
@pytest.mark.skipif(bool(missing_packages()), reason="needs passt, nftables, iproute2")
def test_the_network_is_really_made(monkeypatch: pytest.MonkeyPatch) -> None:
    found = isolation.network()
    if found.state == "problem":
        pytest.skip(f"no way out on this machine: {found.detail}")
    monkeypatch.setattr("steadyd.linux.ruleset.TABLE", "inet no table")
    broken = isolation.network()
    assert (broken.state, "syntax error" in broken.detail) == ("problem", True)
