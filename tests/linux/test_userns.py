from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.linux.userns import APPARMOR, APPARMOR_FIX, CONTAINER_FIX, fix


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (APPARMOR, "1\n", APPARMOR_FIX),
        (APPARMOR, "0\n", CONTAINER_FIX),
        ("kernel/unprivileged_userns_clone", "0\n", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0\n", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("user/max_user_namespaces", "100\n", CONTAINER_FIX),
    ],
)
def test_the_command_opens_what_is_closed_here(name: str, value: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(value)
    assert fix(tmp_path) == said


def test_a_machine_without_such_switches_is_closed_from_outside(tmp_path: Path) -> None:
    assert fix(tmp_path) == CONTAINER_FIX


def test_the_profile_comes_before_the_switches(tmp_path: Path) -> None:
    """Ubuntu 24.04: a profile for bubblewrap alone, and the door stays closed for the rest."""
    for name, value in ((APPARMOR, "1"), ("user/max_user_namespaces", "0")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(value)
    assert "sysctl" not in fix(tmp_path)
    assert "profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }" in fix(tmp_path)
