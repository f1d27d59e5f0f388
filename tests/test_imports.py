"""Importing steadyd does nothing, on Linux and on macOS; each check is shown to bite on a bad sample."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.test_house import ROOT, imports, sources

LINUX_ONLY = {
    "os": "memfd_create pidfd_open pipe2 posix_fadvise posix_fallocate sched_setaffinity setns splice unshare "
    "O_PATH O_TMPFILE copy_file_range getrandom setresuid setresgid",
    "socket": "SO_PEERCRED AF_NETLINK SO_BINDTODEVICE SOCK_CLOEXEC SOCK_NONBLOCK TCP_QUICKACK AF_VSOCK",
    "select": "epoll EPOLLIN",
    "signal": "SIGRTMIN SIGRTMAX pidfd_send_signal sigtimedwait sigwaitinfo",
}
"""What Python on macOS does not have (the standard library's `Availability:` notes)."""


def all_modules() -> list[str]:
    return [source.module for source in sources("steadyd") if not source.module.endswith("__main__")]


def in_a_fresh_interpreter(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-W", "error", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)


EFFECTS = """
import importlib, sys, threading
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    acts = event in {"os.mkdir", "os.remove", "os.rename", "os.putenv", "os.unsetenv", "os.posix_spawn", "os.fork"}
    if writes or acts or event.startswith(("subprocess.", "socket.connect", "socket.bind", "signal.")):
        raise RuntimeError(f"importing has an effect: {event} {arguments}")
from concurrent.futures import thread, process
import asyncio, logging, urllib.request, ssl
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
assert not logging.getLogger().handlers, "importing configures logging"
"""


def test_importing_has_no_effects() -> None:
    done = in_a_fresh_interpreter(EFFECTS, *all_modules())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


ON_A_MAC = """
import importlib, sys
linux_only = {linux_only!r}
for name in {libraries!r}:  # these have a build of their own for macOS; ours must not ask what only Linux has
    importlib.import_module(name)
sys.platform = "darwin"
for module, names in linux_only.items():
    for name in names.split():
        importlib.import_module(module).__dict__.pop(name, None)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def libraries() -> list[str]:
    """Everything from outside that steadyd imports when it is loaded."""
    names = {name for source in sources("steadyd") for name in imports(ast.walk(source.tree))}
    return sorted({name.partition(".")[0] for name in names} - {"steadyd", "__future__"})


def on_a_mac(*modules: str) -> subprocess.CompletedProcess[str]:
    return in_a_fresh_interpreter(ON_A_MAC.format(linux_only=LINUX_ONLY, libraries=libraries()), *modules)


def test_imports_on_macos() -> None:
    done = on_a_mac(*all_modules())
    assert (done.returncode, done.stderr) == (0, "")


def test_effects_are_noticed(tmp_path: Path) -> None:
    program = EFFECTS + f"\nopen({str(tmp_path / 'left')!r}, 'w')"
    assert "importing has an effect: open" in in_a_fresh_interpreter(program).stderr


def test_linux_only_names_are_noticed() -> None:
    done = in_a_fresh_interpreter(
        ON_A_MAC.format(linux_only=LINUX_ONLY, libraries=["os"]) + "\nimport os; os.pidfd_open(1)"
    )
    assert "AttributeError" in done.stderr
