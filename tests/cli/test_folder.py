"""What a deploy takes from a folder, what it leaves there, and what it refuses."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.cli import folder
from steadyd.cli.folder import collect, entry_name, fit_name, ignored_in, is_database, name_for
from steadyd.errors import SteadyError
from steadyd.model import check_name
from steadyd.tree import FILE_BYTES_MAX, FILES_MAX, PATH_DEPTH_MAX
from steadyd.web.archive import ENTRIES_MAX, UNPACKED_BYTES_MAX


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "My Shop (2)"
    folder.mkdir()
    (folder / "index.ts").write_text("export default { fetch() {} }")
    return folder


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def left(folder: Path) -> dict[str, str]:
    return {out.path: out.reason for out in collect(folder).left_out}


def test_a_folder_becomes_a_tree_with_a_name(app: Path) -> None:
    write(app, "lib/a.ts", ".steady-note", "logo.bin")
    collected = collect(app)
    assert collected.name == "my-shop-2"
    assert sorted(collected.tree) == [".steady-note", "index.ts", "lib/a.ts", "logo.bin"]
    assert collected.left_out == ()


def test_what_always_stays(app: Path) -> None:
    write(app, ".git/config", "node_modules/x/y.js", "lib/node_modules/z.js", ".env", ".env.local", "lib/.envrc")
    assert sorted(collect(app).tree) == ["index.ts"]
    assert left(app) == {
        ".env": "may hold secrets",
        ".env.local": "may hold secrets",
        ".git/": "version control",
        "lib/.envrc": "may hold secrets",
        "lib/node_modules/": "installed from package.json",
        "node_modules/": "installed from package.json",
    }


def test_databases_stay_with_their_side_files_however_large(app: Path) -> None:
    connection = sqlite3.connect(app / "data.anything")
    connection.execute("pragma journal_mode=wal")
    connection.execute("create table t as select zeroblob(?) as b", (FILE_BYTES_MAX + 1,))
    connection.commit()
    try:
        assert sorted(left(app)) == ["data.anything", "data.anything-shm", "data.anything-wal"]
        assert is_database(str(app / "data.anything-wal"))
    finally:
        connection.close()
    write(app, "notes-wal")
    assert "notes-wal" in collect(app).tree


def test_an_empty_database_stays_too(app: Path) -> None:
    """Shipped, it would be a file of the version, which the app cannot write."""
    for name in ("data.sqlite", "more.db", "data.sqlite-journal", "notes.txt"):
        (app / name).touch()
    for with_data in (False, True):
        assert sorted(collect(app, with_data).tree) == ["index.ts", "notes.txt"]


def test_databases_go_along_when_that_is_asked_for(app: Path) -> None:
    """Whole, and though .gitignore names them, as it commonly does."""
    (app / ".gitignore").write_text("*.db\n")
    (app / ".steadyignore").write_text("large.sqlite\n")
    write(app, "no-database.db")
    for name in ("data.db", "lib/more.sqlite", "large.sqlite"):
        (app / name).parent.mkdir(exist_ok=True)
        with contextlib.closing(sqlite3.connect(app / name)) as connection:
            connection.execute("create table t as select 1 as a")
            connection.commit()
    with contextlib.closing(sqlite3.connect(app / "data.db")) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("insert into t values (2)")
        connection.commit()
        collected = collect(app, with_data=True)
    assert sorted(collected.seeds) == ["data.db", "lib/more.sqlite"]
    assert {out.path for out in collected.left_out} == {"data.db-wal", "data.db-shm", "large.sqlite", "no-database.db"}
    with contextlib.closing(sqlite3.connect(":memory:")) as copy:
        copy.deserialize(collected.tree["lib/more.sqlite"])
        assert copy.execute("select a from t").fetchall() == [(1,)]


def test_ignore_files_read_as_git_reads_them(app: Path) -> None:
    (app / ".gitignore").write_text("dist/\n*.log\n!keep.log\n/top.txt\n")
    (app / "lib").mkdir()
    (app / "lib" / ".gitignore").write_text("*.tmp\n")
    write(app, "dist/a.js", "a.log", "keep.log", "top.txt", "lib/top.txt", "lib/x.tmp", "x.tmp", "lib/dist/b.js")
    assert left(app) == {
        "a.log": "named in .gitignore",
        "dist/": "named in .gitignore",
        "lib/dist/": "named in .gitignore",
        "lib/x.tmp": "named in lib/.gitignore",
        "top.txt": "named in .gitignore",
    }


def test_steadyignore_speaks_last(app: Path) -> None:
    (app / ".gitignore").write_text("dist/\n")
    (app / ".steadyignore").write_text("!dist/\nfixtures/\n")
    write(app, "dist/a.js", "fixtures/big.json")
    assert "dist/a.js" in collect(app).tree
    assert left(app) == {"fixtures/": "named in .steadyignore"}


def test_the_same_question_for_one_path(app: Path) -> None:
    (app / ".gitignore").write_text("dist/\n")
    is_ignored = ignored_in(str(app))
    assert is_ignored("dist/deep/file.js")
    assert not is_ignored("src/file.js")


def test_links_that_stay_inside_are_followed(app: Path) -> None:
    write(app, "real/a.ts")
    (app / "alias").symlink_to("real")
    (app / "one.ts").symlink_to("real/a.ts")
    assert sorted(collect(app).tree) == ["alias/a.ts", "index.ts", "one.ts", "real/a.ts"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/etc/hostname", "outside the folder"),
        ("../elsewhere", "outside the folder"),
        ("missing", "nothing is there"),
        (".", "a folder that it lies in itself"),
        (".env", "left out of a deploy"),
        ("dist", "left out of a deploy"),
    ],
)
def test_any_other_link_is_an_error_that_names_it(app: Path, target: str, said: str) -> None:
    write(app, ".env", "dist/a.js", "../elsewhere")
    (app / ".gitignore").write_text("dist/\n")
    (app / "link").symlink_to(target)
    with pytest.raises(SteadyError, match=re.escape(said)) as caught:
        collect(app)
    assert caught.value.code == "invalid_path"
    assert "“link”" in caught.value.message


def test_a_link_in_what_is_left_out_is_nobodys_business(app: Path) -> None:
    write(app, "node_modules/x.js")
    (app / "node_modules" / "out").symlink_to("/etc/hostname")
    assert "index.ts" in collect(app).tree


def test_pipes_are_left_out_and_not_read(app: Path) -> None:
    os.mkfifo(app / "pipe")
    assert left(app) == {"pipe": "a pipe"}


def test_what_a_server_may_take_is_left_to_it(app: Path) -> None:
    (app / "big.bin").write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    for number in range(FILES_MAX):
        (app / f"f{number}").touch()
    assert len(collect(app).tree) == FILES_MAX + 2


def test_what_no_server_takes_is_named(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (folder.FILES_MAX, folder.BYTES_MAX) == (ENTRIES_MAX, UNPACKED_BYTES_MAX)
    monkeypatch.setattr(folder, "FILES_MAX", 20)
    monkeypatch.setattr(folder, "BYTES_MAX", 1_000)
    (app / "big.bin").write_bytes(bytes(1_001))
    with pytest.raises(SteadyError, match=r"big\.bin") as caught:
        collect(app)
    assert caught.value.code == "too_large"
    (app / "big.bin").unlink()
    for number in range(20):
        (app / f"f{number}").touch()
    with pytest.raises(SteadyError, match="more than 20 files"):
        collect(app)


def test_a_bottomless_folder_is_refused(app: Path) -> None:
    write(app, "/".join(["d"] * (PATH_DEPTH_MAX + 1)) + "/f")
    with pytest.raises(SteadyError, match="deeper than"):
        collect(app)


def test_nothing_to_run(tmp_path: Path) -> None:
    with pytest.raises(SteadyError) as caught:
        collect(tmp_path)
    assert caught.value.code == "no_entry"
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SteadyError, match="nor a source file"):
        collect(tmp_path / "notes.txt")
    with pytest.raises(SteadyError, match="neither"):
        collect(tmp_path / "none")


def test_a_single_file_is_the_index(tmp_path: Path) -> None:
    (tmp_path / "hello.tsx").write_text("x")
    collected = collect(tmp_path / "hello.tsx")
    assert (collected.name, dict(collected.tree)) == ("hello", {"index.tsx": b"x"})
    assert entry_name(Path("a.mts")) == "index.ts"


def test_accents_are_composed(app: Path) -> None:
    write(app, "cafe\u0301.txt")
    assert "café.txt" in collect(app).tree


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("hello", "hello"),
        ("My Shop (2)", "my-shop-2"),
        ("api", "api-app"),
        ("db", "db-app"),
        ("2024 Projekt", "projekt"),
        ("Größe", "groe"),
        ("日本", "my-app"),
        ("x" * 60, "x" * 40),
        ("a_b..c", "a-b-c"),
    ],
)
def test_names_made_to_fit(folder: str, name: str) -> None:
    assert fit_name(folder) == name


@given(st.text())
def test_a_made_name_is_always_allowed(text: str) -> None:
    assert check_name(fit_name(text))


def test_an_index_file_is_named_like_its_folder(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert name_for(app / "index.ts") == "my-shop-2"
    monkeypatch.chdir(app)
    assert name_for(Path(".")) == "my-shop-2"
