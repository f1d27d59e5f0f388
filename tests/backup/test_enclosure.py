from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from steadyd.backup.enclosure import LATE, Enclosure, command, optional, options

APPS = Enclosure("apps", Path("/bin/litestream"), Path("/run/c"), Path("/data/apps"), replica=Path("/data/replica"))


def words(enclosure: Enclosure) -> str:
    return " ".join(options(enclosure, frozenset(optional(enclosure)), True))


def test_the_apps_folders_are_bound_late_and_nothing_else_of_the_host_is_seen() -> None:
    said = words(APPS)
    assert "/data/apps" not in said
    assert f"--dir {LATE}" in said
    assert "--bind /data/replica /data/replica" in said
    assert "/usr" not in said
    assert "/etc" not in said
    assert APPS.inside("a/app/x.db") == f"{LATE}/a/app/x.db"


def test_only_a_bucket_takes_a_network_and_what_it_needs_of_the_system() -> None:
    assert "--unshare-net" in words(APPS)
    bucket = replace(APPS, replica=None, environ={"AWS_SECRET_ACCESS_KEY": "hidden"})
    said = words(bucket)
    assert "--unshare-net" not in said
    assert "--ro-bind /etc/resolv.conf /etc/resolv.conf" in said
    assert "--setenv AWS_SECRET_ACCESS_KEY hidden" in said
    assert "hidden" not in " ".join(command(bucket))


def test_root_keeps_what_it_needs_to_open_files_of_any_app() -> None:
    said = words(APPS)
    assert said.index("--cap-drop ALL") < said.index("--cap-add CAP_DAC_OVERRIDE")
    ordinary = replace(APPS, as_root=False)
    assert "--cap-add" not in words(ordinary)
    assert "--bind /data/apps /data/apps" in words(ordinary)
    assert ordinary.inside("a/app/x.db") == "/data/apps/a/app/x.db"
