"""Which changes reload an app that runs from its developer's folder: the whole decision as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steadyd.runner.reload import RELOADS_IN_A_ROW_MAX, SOON_SECONDS, Habits, Known, reloads

EXISTED = "index.ts lib/db.ts page.html notes.txt dist/out.js .hidden/x.ts seed.db seed.db-wal README~".split()
KNOWN = Known(
    folder="/app",
    modules={"/app/index.ts", "/app/dist/out.js", "/lib/shared.ts", "/app/written.ts"},
    wrote={"/app/data.sqlite", "/app/data.sqlite-wal", "/app/log.txt", "/app/written.ts", "/app/notes.txt"},
    existed={f"/app/{path}" for path in EXISTED},
    is_ignored=lambda inside: inside.startswith(("dist/", "tmp/")),
    is_database=lambda path: path in ("/app/seed.db", "/app/other.db"),
)


@pytest.mark.parametrize(
    ("path", "expected", "why"),
    [
        ("/app/index.ts", True, "a loaded module"),
        ("/lib/shared.ts", True, "a loaded module outside the folder"),
        ("/app/dist/out.js", True, "ignored by git, but loaded"),
        ("/app/lib/db.ts", True, "a source file that was there"),
        ("/app/page.html", True, "read at run time, perhaps at the start"),
        ("/app/new.ts", True, "a new source file"),
        ("/app/package.json", True, "settings, even new ones"),
        ("/app/.env", True, "variables"),
        ("/app/.env.local", True, "variables"),
        ("/app/data.sqlite", False, "the app's own database"),
        ("/app/data.sqlite-wal", False, "and what lies beside it"),
        ("/app/data.sqlite-journal", False, "a side file of what the app wrote"),
        ("/app/log.txt", False, "the app wrote it"),
        ("/app/notes.txt", False, "the app wrote it, though it was there"),
        ("/app/written.ts", False, "the app wrote it, though it loaded it"),
        ("/app/seed.db", False, "a database by content"),
        ("/app/seed.db-wal", False, "beside a database by content"),
        ("/app/other.db-shm", False, "written by a program of the app"),
        ("/app/uploads/cat.png", False, "new, and no source"),
        ("/app/out.json", False, "new, and more likely data than code"),
        ("/app/tmp/cache.ts", False, "ignored"),
        ("/app/.hidden/x.ts", False, "hidden"),
        ("/app/.index.ts.swp", False, "an editor's"),
        ("/app/README~", False, "an editor's"),
        ("/app/node_modules/hono/index.js", False, "installed"),
        ("/app/lib/node_modules/x/index.js", False, "installed"),
        ("/app/lib/.env", False, "no variables from there"),
        ("/lib/other.ts", False, "outside, and not loaded"),
        ("/app", False, "the folder itself"),
        ("/app-two/index.ts", False, "a neighbour"),
    ],
)
def test_the_table(path: str, expected: bool, why: str) -> None:
    assert reloads(path, KNOWN) is expected, why


def test_while_it_does_not_start_a_new_file_may_be_what_it_lacks() -> None:
    broken = replace(KNOWN, is_running=False)
    assert reloads("/app/out.json", broken)
    assert not reloads("/app/data.sqlite", broken)
    assert not reloads("/app/node_modules/x.js", broken)


def test_a_single_file_reloads_for_its_modules_only() -> None:
    single = replace(KNOWN, modules_only=True)
    assert reloads("/app/index.ts", single)
    assert not reloads("/app/lib/db.ts", single)
    assert not reloads("/app/package.json", single)


def test_a_file_that_keeps_causing_reloads_is_the_apps_own() -> None:
    habits = Habits()
    found = [habits.caused({"/app/a.json"}, at * SOON_SECONDS) for at in range(RELOADS_IN_A_ROW_MAX)]
    assert found == [set()] * (RELOADS_IN_A_ROW_MAX - 1) + [{"/app/a.json"}]
    assert habits.owned == {"/app/a.json"}


def test_a_person_who_saves_now_and_then_is_not_meant() -> None:
    habits = Habits()
    for at in range(RELOADS_IN_A_ROW_MAX * 2):
        assert habits.caused({"/app/a.json"}, at * (SOON_SECONDS + 0.1)) == set()
    for at in range(RELOADS_IN_A_ROW_MAX * 2):
        assert habits.caused({f"/app/{at % 2}.json"}, 100 + at * 0.1) == set()
