from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.model import Draft, Origin, Principal
from steadyd.records.apps import going_live
from steadyd.records.environment import FORMER_BYTES_PER_APP_MAX, REVISIONS_PER_APP_MAX, Environment
from steadyd.records.library import Library, open_library
from steadyd.records.schema import STEADY
from steadyd.store import Connection, Database
from steadyd.terms import Terms
from steadyd.variables import CONTEXTS, NAMES_MAX, Change, Context, Value, Variable, change_in
from steadyd.vault import Vault

PLANTED = "planted-5f1d"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@dataclass
class Desk:
    """One app's variables, as the operator changes them."""

    database: Database
    library: Library
    app_id: str
    operator: Principal

    @property
    def environment(self) -> Environment:
        return self.library.environment

    async def set(self, context: Context = "production", whole: bool = False, **values: str | Value | None) -> bool:
        said = {name: Value(text) if isinstance(text, str) else text for name, text in values.items()}
        return await self.make(change_in(context, said, whole))

    async def make(self, change: Change, now: float = 1.0) -> bool:
        assert await self.environment.differs(self.app_id, change) in (True, False)
        return await self.database.write(self.environment.change(self.app_id, change, self.operator, now))

    async def get(self, context: Context = "production") -> dict[str, str]:
        return await self.environment.values(self.app_id, context)

    async def version(self) -> int:
        """A new version, live."""
        app = await self.library.apps.by_id(self.app_id)
        assert app is not None
        version = await self.library.versions.add(app, self.operator, Draft("index.ts", Origin("paste"), ()), 1.0)
        await self.live(version.number)
        return version.number

    async def live(self, version: int) -> None:
        app = await self.library.apps.by_id(self.app_id)
        assert app is not None
        await self.library.apps.write(going_live(app, version, 1.0, Terms()))
        await self.database.write(self.environment.went_live(self.app_id, version))

    async def rows(self, sql: str) -> list[Any]:
        return await self.database.read(lambda db: db.execute(sql).fetchall())


async def desk(database: Database, name: str | None = "hello") -> Desk:
    library = open_library(database)
    operator = await library.people.operator(0.0)
    return Desk(database, library, (await library.apps.create(name, operator, False, 0.0)).id, operator)


async def locked(work: Any) -> None:
    with pytest.raises(SteadyError) as caught:
        await work
    assert caught.value.code == "secrets_locked"


def test_what_is_set_comes_out_for_a_start_and_is_shown_to_nobody(database: Database) -> None:
    async def body() -> None:
        made, other = await desk(database), await desk(database, "other")
        assert await made.set(API_KEY=PLANTED, GREETING="hello\nworld é")
        assert await made.get() == {"API_KEY": PLANTED, "GREETING": "hello\nworld é"}
        assert await made.environment.shown(made.app_id) == {
            "API_KEY": Variable(True, 1.0, ("production",)),
            "GREETING": Variable(False, 1.0, ("production",)),
        }
        assert (await other.get(), await other.environment.shown(other.app_id)) == ({}, {})

    asyncio.run(body())


def test_a_part_changes_the_whole_replaces_and_none_removes(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        await made.set(A="1", B="2", C="3")
        assert await made.set(B="two", C=None, D=None)
        assert await made.get() == {"A": "1", "B": "two"}
        assert await made.set(whole=True, E="5")
        assert await made.get() == {"E": "5"}
        assert await made.set(whole=True)
        assert await made.get() == {}

    asyncio.run(body())


def test_what_changes_nothing_is_no_revision(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        assert not await made.set(A=None)
        await made.set(A="1")
        for same in ({"A": "1"}, {"A": Value("1", False)}, {"GONE": None}):
            assert not await made.set(**same)
        assert not await made.set(whole=True, A="1")
        assert await made.set(A=Value("1", True))
        assert [revision.number for revision in await made.environment.revisions(made.app_id)] == [2, 1]

    asyncio.run(body())


def test_a_secret_stays_one_until_somebody_says_otherwise(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        await made.set(A=Value("1", True), MY_KEY=Value("1", False), OTHER_KEY="1")
        await made.set(A="2", MY_KEY="2", OTHER_KEY="2")
        shown = await made.environment.shown(made.app_id)
        assert {name: variable.secret for name, variable in shown.items()} == {
            "A": True,
            "MY_KEY": False,
            "OTHER_KEY": True,
        }
        await made.set(A=Value("2", False))
        assert not (await made.environment.shown(made.app_id))["A"].secret

    asyncio.run(body())


def test_a_trial_has_its_own_values_or_production_s(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        await made.set(A="1", B="2")
        await made.set("trial", B="trial's", C="3")
        assert await made.get("trial") == {"A": "1", "B": "trial's", "C": "3"}
        assert await made.get("preview") == await made.get() == {"A": "1", "B": "2"}
        assert (await made.environment.shown(made.app_id))["B"].contexts == ("production", "trial")
        assert list(await made.environment.shown(made.app_id, "trial")) == ["B", "C"]
        await made.set("trial", B=None)
        assert await made.get("trial") == {"A": "1", "B": "2", "C": "3"}

    asyncio.run(body())


def test_what_a_change_would_give_is_known_before_it_is_made(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        await made.set(A="1", B="2", C="3")
        change = Change({("production", "A"): Value("one"), ("production", "B"): None, ("trial", "C"): Value("t")})
        assert await made.environment.values(made.app_id, "production", change) == {"A": "one", "C": "3"}
        assert await made.environment.values(made.app_id, "trial", change) == {"A": "one", "C": "t"}
        assert await made.get() == {"A": "1", "B": "2", "C": "3"}

    asyncio.run(body())


CHANGES = st.builds(
    Change,
    st.dictionaries(st.tuples(st.sampled_from(CONTEXTS), st.sampled_from("ABC")), st.none() | st.builds(Value, TEXTS)),
    st.frozensets(st.sampled_from(CONTEXTS)),
)


@given(st.lists(CHANGES, max_size=6))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_can_be_foretold_and_gone_back_to(database: Database, changes: list[Change]) -> None:
    async def body() -> None:
        made = await desk(database, None)
        had = []
        for change in changes:
            foretold = [await made.environment.values(made.app_id, context, change) for context in CONTEXTS]
            version = await made.version()
            await made.make(change)
            assert [await made.get(context) for context in CONTEXTS] == foretold
            had.append((version, foretold, (await made.environment.of_versions(made.app_id)).get(version)))
        for version, foretold, revision in had:
            back = await made.environment.back_to(made.app_id, version)
            await made.live(version)
            await made.make(back)
            assert [await made.get(context) for context in CONTEXTS] == foretold
            newest = await made.environment.revisions(made.app_id)
            assert revision is None or newest[0].hash == revision.hash

    asyncio.run(body())


def test_a_hash_tells_equal_from_different_and_no_value(database: Database, tmp_path: Path) -> None:
    async def body() -> None:
        made, other = await desk(database), await desk(database, "other")
        for text in ("1", "2", "1"):
            await made.set(A=text)
        await other.set(A="1")
        third, second, first = [revision.hash for revision in await made.environment.revisions(made.app_id)]
        assert third == first != second
        assert (await other.environment.revisions(other.app_id))[0].hash not in (first, second)
        await made.environment.rotate()  # a hash is keyed: whoever had the key before can try nothing any more
        again = [revision.hash for revision in await made.environment.revisions(made.app_id)]
        assert again[0] == again[2] != again[1]
        assert not {first, second} & set(again)

    asyncio.run(body())


def test_an_app_has_so_many(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        await made.make(change_in("production", {f"A{number}": Value("x") for number in range(NAMES_MAX)}))
        for work in (made.set(B="x"), made.set("trial", B="x")):
            with pytest.raises(SteadyError, match="at most 1,000"):
                await work
        assert len(await made.get()) == NAMES_MAX
        assert await made.set(A1=None, B="x")

    asyncio.run(body())


def test_so_many_revisions_are_kept(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        first = await made.version()
        for number in range(REVISIONS_PER_APP_MAX + 5):
            await made.set(A=str(number), B="kept")
            if number == 0:
                await made.version()
        assert len(await made.environment.revisions(made.app_id)) == REVISIONS_PER_APP_MAX
        assert len(await made.rows("SELECT 1 FROM variables WHERE until IS NOT NULL")) == REVISIONS_PER_APP_MAX - 1
        assert await made.get() == {"A": str(REVISIONS_PER_APP_MAX + 4), "B": "kept"}
        assert first not in await made.environment.of_versions(made.app_id)
        with pytest.raises(SteadyError, match="not kept"):
            await made.environment.back_to(made.app_id, first)

    asyncio.run(body())


def test_former_values_take_so_many_bytes(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        size = 64 << 10
        fits = FORMER_BYTES_PER_APP_MAX // size - 1
        await made.set(A="0" * size)
        version = await made.version()
        for number in range(1, fits + 3):
            await made.set(A=f"{number:05}" + "x" * (size - 5))
            if number == 1:
                await made.version()
        kept = await made.environment.revisions(made.app_id)
        assert (len(kept), kept[-1].number) == (fits + 1, 3)
        with pytest.raises(SteadyError, match="not kept"):
            await made.environment.back_to(made.app_id, version)

    asyncio.run(body())


def test_the_database_shows_no_value_and_rows_cannot_be_swapped(database: Database) -> None:
    async def body() -> None:
        made, other = await desk(database), await desk(database, "other")
        await made.set(A=PLANTED, B="b")
        await made.set(A="a")
        await other.set(A=f"{PLANTED}-other")
        files = [path for path in database.path.parent.iterdir() if path.is_file()]
        assert database.path in files
        for path in files:
            assert PLANTED.encode() not in path.read_bytes(), path
        swaps = ("name = 'B'", f"app_id = '{other.app_id}'")
        for swap in swaps:
            sql = f"UPDATE variables SET sealed = (SELECT sealed FROM variables WHERE {swap} AND until IS NULL)"
            where = f" WHERE app_id = '{made.app_id}' AND name = 'A' AND until IS NULL"
            await database.write(lambda db, sql=sql + where: db.execute(sql))  # type: ignore[misc]
            await locked(made.get())
        await made.set(A="anew")
        assert await made.get() == {"A": "anew", "B": "b"}

    asyncio.run(body())


def test_what_belongs_to_an_app_goes_with_it(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        await made.version()
        await made.set(A="1")
        assert await made.rows("SELECT version, revision FROM version_environments") == [(1, 1)]
        await made.version()
        await made.set(A="2")
        await made.live(1)
        assert await made.rows("SELECT version, revision FROM version_environments") == [(1, 1), (2, 2)]
        await made.library.apps.remove(made.app_id, 0.0)
        for table in ("variables", "environments", "version_environments"):
            assert not await made.rows(f"SELECT 1 FROM {table}")

    asyncio.run(body())


def test_without_its_key_a_value_is_locked_and_nothing_else(database: Database) -> None:
    async def body() -> None:
        made, other = await desk(database), await desk(database, "other")
        await made.set(A="1", B="2")
        key = database.path.with_name("secrets.key")
        kept = key.read_text()
        key.unlink()
        made = Desk(database, open_library(database), made.app_id, made.operator)
        assert await made.environment.locked() == {made.app_id}
        await locked(made.get())
        await locked(made.set(C="3"))
        await locked(other_with(made, other.app_id).set(C="3"))  # a new key would be in the way of the old one
        assert not key.exists()
        assert await other_with(made, other.app_id).get() == {}
        assert list(await made.environment.shown(made.app_id)) == ["A", "B"]
        assert await made.set(A=None)  # removing needs no key
        key.write_text(kept)
        assert await made.get() == {"B": "2"}
        assert await made.environment.locked() == set()
        key.unlink()
        made = Desk(database, open_library(database), made.app_id, made.operator)
        await made.set(whole=True)
        assert await made.set(C="3")  # nothing waits for the old key any more
        assert await made.get() == {"C": "3"}

    asyncio.run(body())


def other_with(made: Desk, app_id: str) -> Desk:
    return Desk(made.database, made.library, app_id, made.operator)


def test_a_rotation_seals_everything_anew(database: Database) -> None:
    async def body() -> None:
        made, other = await desk(database), await desk(database, "other")
        await made.set(A="1")
        first = await made.version()
        await made.set(A="2")
        await made.version()
        await other.set("trial", B="3")
        before = {row[0] for row in await made.rows("SELECT sealed FROM variables")}
        key = database.path.with_name("secrets.key")
        old = key.read_text()
        assert await made.environment.rotate() == 3
        assert not before & {row[0] for row in await made.rows("SELECT sealed FROM variables")}
        fresh = open_library(database).environment
        assert await fresh.values(made.app_id, "production") == {"A": "2"}
        assert await fresh.values(other.app_id, "trial") == {"B": "3"}
        back = await fresh.back_to(made.app_id, first)
        assert [value.text for value in back.values.values() if value] == ["2"]
        assert not fresh.vault.is_rotating
        assert not set(old.splitlines()[1:]) & set(key.read_text().splitlines()[1:])

    asyncio.run(body())


def test_a_rotation_that_is_killed_anywhere_loses_nothing_and_is_ended(tmp_path: Path) -> None:
    """The files as a kill would leave them: after the new key is written, within the transaction, after its commit."""

    async def body() -> None:
        database = Database(tmp_path / "steady.db", STEADY)
        made = await desk(database)
        await made.set(A="1", B="2")
        await made.set(A="one")
        left: list[Path] = []

        def leave() -> None:
            left.append(tmp_path / f"killed-{len(left)}")
            left[-1].mkdir()
            for path in tmp_path.glob("s*"):
                shutil.copy(path, left[-1])

        class Watched(Vault):
            def rotate(self) -> None:
                super().rotate()
                leave()

            def seal(self, value: bytes, place: bytes) -> bytes:
                leave()
                return super().seal(value, place)

            def retire(self, used: Any) -> None:
                leave()
                super().retire(used)
                leave()

        await Environment(database, Watched(tmp_path / "secrets.key")).rotate()
        database.close()
        assert len(left) == 1 + 3 + 2
        for folder in left:
            database = Database(folder / "steady.db", STEADY)
            environment = open_library(database).environment
            assert await environment.values(made.app_id, "production") == {"A": "one", "B": "2"}, folder
            await environment.settle()
            assert not environment.vault.is_rotating
            fresh = open_library(database).environment
            assert await fresh.values(made.app_id, "production") == {"A": "one", "B": "2"}
            database.close()

    asyncio.run(body())


def test_a_rotation_keeps_the_key_of_what_it_cannot_read(database: Database) -> None:
    async def body() -> None:
        made = await desk(database)
        await made.set(A="1", B="2")

        def damage(db: Connection) -> None:
            db.execute("UPDATE variables SET name = 'C' WHERE name = 'A'")

        await database.write(damage)
        assert await made.environment.rotate() == 1
        await database.write(lambda db: db.execute("UPDATE variables SET name = 'A' WHERE name = 'C'"))
        assert await open_library(database).environment.values(made.app_id, "production") == {"A": "1", "B": "2"}

    asyncio.run(body())
