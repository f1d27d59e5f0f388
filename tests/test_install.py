"""Installing: what the wheel carries, and what scripts/setup does on machines that lack this or that.

The whole way, in a minimal Debian, is scripts/bare-root-test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import steadyd
from tests.test_house import ROOT

# A Python that needs no Python: it says 3.11 or newer, has ensurepip if the file `ensurepip` lies beside it, makes an
# environment that is itself again, and writes down what pip was asked for.
PYTHON = """#!/bin/sh
case "$*" in
    *ensurepip*) [ -e "{bin}/ensurepip" ] ;;
    "-m venv"*) mkdir -p .venv/bin && cp "{bin}/python3" .venv/bin/python ;;
    *"-m pip --version") [ "$0" = .venv/bin/python ] || [ -e "{bin}/system-pip" ] ;;
    *"-m pip"*) echo "$0 $*" >> "{bin}/pip.log" ;;
esac
"""
APT = """#!/bin/sh
case "$*" in *chromium*) exit 100 ;; *python3-venv*) touch "{bin}/ensurepip" ;; esac
echo "$*" >> "{bin}/apt.log"
"""
ID = "#!/bin/sh\necho {uid}\n"
SYSTEM = ["bubblewrap", "passt"]
"""What Linux lacks that has nothing; setup looks for the others where an ordinary user's PATH does not lead, too."""
SYSTEM += [
    package for tool, package in (("nft", "nftables"), ("ip", "iproute2")) if not Path("/usr/sbin", tool).exists()
]
WANTED = " ".join(SYSTEM)
PLAIN = ("sh", "dirname", "basename", "uname", "mkdir", "cp", "touch")


@dataclass(frozen=True)
class Machine:
    """A PATH with nothing on it but stand-ins, and a repository with nothing in it but scripts/setup."""

    bin: Path
    repository: Path

    def put(self, name: str, text: str = "") -> None:
        path = self.bin / name
        path.write_text(text.replace("{bin}", str(self.bin)))
        path.chmod(0o755)

    def setup(self, purpose: str = "run") -> subprocess.CompletedProcess[str]:
        command = ["sh", "scripts/setup", purpose]
        env = {"PATH": str(self.bin)}
        return subprocess.run(command, cwd=self.repository, env=env, capture_output=True, text=True, check=False)

    def log(self, name: str) -> str:
        path = self.bin / f"{name}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """A fresh Debian as an ordinary user sees it: Python, apt, nothing else."""
    machine = Machine(tmp_path / "bin", tmp_path / "repository")
    machine.bin.mkdir()
    (machine.repository / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "setup", machine.repository / "scripts")
    for tool in PLAIN:
        (machine.bin / tool).symlink_to(shutil.which(tool) or tool)
    for name, text in (("python3", PYTHON), ("apt-get", APT), ("id", ID.replace("{uid}", "1000"))):
        machine.put(name, text)
    return machine


def test_an_ordinary_user_gets_the_exact_line_and_a_clean_failure(bare: Machine) -> None:
    done = bare.setup()
    assert done.returncode == 1
    assert f"sudo apt-get install -y python3-venv {WANTED}\n" in done.stderr
    assert bare.log("apt") == ""


def test_an_ordinary_user_goes_on_without_bubblewrap(bare: Machine) -> None:
    bare.put("ensurepip")
    done = bare.setup()
    assert done.returncode == 0
    assert f"sudo apt-get install -y {WANTED}\n" in done.stderr
    assert bare.log("pip") == ".venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .\n"


def test_a_system_pip_stands_in_for_ensurepip(bare: Machine) -> None:
    bare.put("system-pip")
    done = bare.setup()
    assert done.returncode == 0
    assert "-m pip --python .venv/bin/python install" in bare.log("pip").splitlines()[0]


def test_root_installs_what_is_missing_and_says_so(bare: Machine) -> None:
    bare.put("id", ID.replace("{uid}", "0"))
    done = bare.setup()
    assert done.returncode == 0
    assert f"installing system packages with apt-get: python3-venv {WANTED}\n" in done.stderr
    assert bare.log("apt").endswith(f"python3-venv {WANTED}\n")


def test_a_package_that_apt_does_not_have_costs_nothing_else(bare: Machine) -> None:
    bare.put("id", ID.replace("{uid}", "0"))
    done = bare.setup("test")
    assert done.returncode == 0
    assert "apt-get could not install chromium" in done.stderr
    assert [line.split()[-1] for line in bare.log("apt").splitlines()] == ["-qq", "python3-venv", *SYSTEM]
    assert bare.log("pip").endswith("--editable .[dev]\n")


def test_nothing_missing_asks_nobody(bare: Machine) -> None:
    for name in ("ensurepip", "bwrap", "pasta", "nft", "ip", "chromium"):
        bare.put(name)
    done = bare.setup("test")
    assert done.returncode == 0
    assert "apt" not in done.stderr


def test_a_benchmark_installs_no_server_that_would_start_by_itself(bare: Machine) -> None:
    bare.put("id", ID.replace("{uid}", "0"))
    done = bare.setup("bench")
    assert done.returncode == 0
    assert "nginx" not in bare.log("apt")
    assert bare.log("pip").endswith("--editable .[dev,bench]\n")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("steadyd-*.whl"))


def shipped(folder: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }


def test_the_wheel_carries_pages_and_harness(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"steadyd/{path}" for path in shipped("templates") | shipped("static/dist")} | shipped("steadyd")
    assert wanted - inside == set()
    assert any(path.endswith(".html") for path in wanted)
    assert any(path.endswith(".ts") for path in wanted)


def test_the_wheel_works_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-P", "-m", "steadyd", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert steadyd.__version__ in done.stdout
