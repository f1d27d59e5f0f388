"""Names: nobody gets what was another's before its time, and nothing leads to a stranger's app."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from steadyd.errors import SteadyError
from steadyd.model import App, Kind, Principal
from steadyd.records.accounts import Accounts, NewAccount
from steadyd.records.apps import Apps, deleting, going_live, moved
from steadyd.records.names import KEPT_PER_OWNER_MAX, Names
from steadyd.records.people import People
from steadyd.records.schema import STEADY
from steadyd.store import Database
from steadyd.terms import DAY_SECONDS, Terms

NOW = 1_000_000.0
T = TypeVar("T")


class Records:
    """Apps and names over one database, called without a loop of one's own."""

    def __init__(self, database: Database, terms: Terms = Terms()) -> None:
        self.apps = Apps(database, terms=terms)
        self.names = Names(database, terms)
        self.people = People(database)
        self.database = database

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        async def body() -> T:
            return await work

        return asyncio.run(body())

    def guest(self) -> Principal:
        return self.do(self.people.add_guest(NOW))

    def app(self, name: str, owner: Principal, now: float = NOW) -> App:
        """An app that serves."""
        app = self.do(self.apps.create(name, owner, False, now))
        self.do(self.apps.write(going_live(app, 1, now, self.apps.terms)))
        return app

    def rename(self, app: App, name: str, now: float = NOW) -> None:
        self.do(self.apps.write(self.names.rename(app.id, name, now)))

    def refusal(self, work: Coroutine[Any, Any, object]) -> SteadyError:
        with pytest.raises(SteadyError) as caught:
            self.do(work)
        return caught.value


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database)


def test_a_former_name_leads_on_and_chains_lead_to_the_last(records: Records) -> None:
    app = records.app("one", records.guest())
    records.rename(app, "two")
    records.rename(app, "three")
    assert records.do(records.names.hostnames()) == {"three": app.id}
    assert records.do(records.names.redirects(NOW)) == {"one": "three", "two": "three"}
    records.rename(app, "one")
    assert records.do(records.names.hostnames()) == {"one": app.id}
    assert records.do(records.names.redirects(NOW)) == {"two": "one", "three": "one"}
    records.rename(app, "one")
    assert records.do(records.names.redirects(NOW)) == {"two": "one", "three": "one"}


def test_nobody_but_the_last_owner_gets_it_until_its_time_is_over(records: Records) -> None:
    owner, stranger = records.guest(), records.guest()
    app = records.app("one", owner)
    records.rename(app, "two")
    error = records.refusal(records.apps.create("one", stranger, False, NOW + 1))
    assert (error.code, error.details) == ("name_taken", {"name": "one", "yours": False})
    assert "1970-02-11" in error.message
    other = records.app("other", stranger)
    assert records.refusal(records.apps.write(records.names.rename(other.id, "one", NOW))).code == "name_taken"
    later = NOW + 30 * DAY_SECONDS
    assert records.do(records.names.redirects(later)) == {}
    assert records.do(records.apps.create("one", stranger, False, later)).name == "one"


def test_its_last_owner_may_use_it_for_another_app(records: Records) -> None:
    owner = records.guest()
    records.rename(records.app("one", owner), "two")
    again = records.app("one", owner)
    assert records.do(records.names.redirects(NOW)) == {}
    assert records.do(records.names.hostnames())["one"] == again.id


def test_the_name_of_what_is_gone_is_kept_and_leads_nowhere(records: Records) -> None:
    owner, stranger = records.guest(), records.guest()
    app = records.app("one", owner)
    records.rename(app, "two")
    records.do(records.apps.remove(app.id, NOW))
    assert records.do(records.names.redirects(NOW)) == {}
    for name in ("one", "two"):
        assert records.refusal(records.apps.create(name, stranger, False, NOW)).code == "name_taken"
        former = records.do(records.names.former(name, NOW))
        assert former is not None
        assert (former.owner_id, former.renamed_to) == (owner.id, "")
        records.app(name, owner)


def test_what_never_served_leaves_its_name_free(records: Records) -> None:
    app = records.do(records.apps.create("one", records.guest(), False, NOW))
    records.do(records.apps.remove(app.id, NOW))
    records.app("one", records.guest())


def test_a_deleted_app_is_not_led_on_to(records: Records) -> None:
    app = records.app("one", records.guest())
    records.rename(app, "two")
    records.do(records.apps.write(deleting(app.id, NOW)))
    assert records.do(records.names.redirects(NOW)) == {}
    records.do(records.apps.write(records.apps.bringing_back(app.id, NOW)))
    assert records.do(records.names.redirects(NOW)) == {"one": "two"}


def test_who_gets_the_app_gets_its_names(records: Records) -> None:
    owner, heir = records.guest(), records.guest()
    app = records.app("one", owner)
    records.rename(app, "two")
    records.do(records.apps.write(moved(app.id, heir, NOW)))
    assert records.refusal(records.apps.create("one", owner, False, NOW)).code == "name_taken"
    records.app("one", heir)


def test_who_signs_up_keeps_the_names_of_what_is_gone(records: Records) -> None:
    guest, account = records.guest(), NewAccount("ada", "", "hash", None)
    app = records.app("one", guest)
    records.do(records.apps.remove(app.id, NOW))
    user = records.do(Accounts(records.database).sign_up(account, guest, NOW))
    assert records.refusal(records.apps.create("one", records.guest(), False, NOW)).code == "name_taken"
    records.app("one", user)


def test_a_bad_or_taken_name_changes_nothing(records: Records) -> None:
    owner = records.guest()
    app = records.app("one", owner)
    records.app("two", owner)
    with pytest.raises(SteadyError, match="cannot be an app's name"):
        records.names.rename(app.id, "No", NOW)
    error = records.refusal(records.apps.write(records.names.rename(app.id, "two", NOW)))
    assert (error.code, error.details["yours"]) == ("name_taken", True)
    assert records.do(records.names.redirects(NOW)) == {}
    assert set(records.do(records.names.hostnames())) == {"one", "two"}


def test_a_person_keeps_so_many_names(records: Records) -> None:
    """KEPT_PER_OWNER_MAX: who renames without end does not take all names from everybody."""
    owner, other = records.guest(), records.guest()
    app = records.app("name-0", owner)
    kept = records.app("kept", other)
    records.rename(kept, "kept-now")
    for number in range(1, KEPT_PER_OWNER_MAX + 2):
        records.rename(app, f"name-{number}", NOW + number)
    redirects = records.do(records.names.redirects(NOW))
    assert len(redirects) == KEPT_PER_OWNER_MAX + 1
    assert "name-0" not in redirects
    assert {redirects["name-1"], redirects["kept"]} == {f"name-{KEPT_PER_OWNER_MAX + 1}", "kept-now"}
    records.app("name-0", other)


def test_with_quarantine_off_a_name_is_free_at_once(database: Database) -> None:
    records = Records(database, Terms(name_seconds=0))
    app = records.app("one", records.guest())
    records.rename(app, "two")
    assert records.do(records.names.redirects(NOW)) == {}
    records.app("one", records.guest())


def test_what_is_over_is_forgotten(records: Records) -> None:
    records.rename(records.app("one", records.guest()), "two")
    assert records.do(records.names.forget(NOW + 1)) == 0
    assert records.do(records.names.forget(NOW + 31 * DAY_SECONDS)) == 1
    assert records.do(records.names.former("one", NOW)) is None


# ------------------------------------------------------------------------------------------------------- a history

ACTORS = [Principal(f"actor{n}", Kind.USER, f"Actor {n}", NOW) for n in range(3)]
WORDS = ["ant", "bee", "cat", "dog"]
names, actors = st.sampled_from(WORDS), st.sampled_from(ACTORS)


class History(RuleBasedStateMachine):
    """Random people create, rename, hand over and purge. The model remembers of each name which app had it last, and
    until when nobody but that app's owner may have it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="steady-names-")
        self.database = Database(Path(self.folder.name) / "steady.db", STEADY, durable=False)
        self.records = Records(self.database)
        self.now = NOW
        self.present: dict[str, str] = {}
        """App id → its name."""
        self.owner: dict[str, Principal] = {}
        """App id → its owner, of what is gone too."""
        self.last: dict[str, tuple[str, float]] = {}
        """Given-up name → the app that had it, and until when it is kept."""
        rows = [(actor.id, str(actor.kind), actor.name, NOW) for actor in ACTORS]
        sql = "INSERT INTO principals (id, kind, name, created_at) VALUES (?, ?, ?, ?)"
        self.records.do(self.database.write(lambda db: db.executemany(sql, rows)))

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def may_have(self, name: str, actor: Principal) -> bool:
        if name in self.present.values():
            return False
        app_id, until = self.last.get(name, ("", 0.0))
        return until <= self.now or self.owner[app_id] == actor

    def give_up(self, app_id: str) -> None:
        self.last[self.present.pop(app_id)] = (app_id, self.now + Terms().name_seconds)

    @rule(name=names, actor=actors)
    def create(self, name: str, actor: Principal) -> None:
        if not self.may_have(name, actor):
            assert self.records.refusal(self.records.apps.create(name, actor, False, self.now)).code == "name_taken"
            return
        app = self.records.app(name, actor, self.now)
        self.present[app.id], self.owner[app.id] = name, actor
        self.last.pop(name, None)

    @rule(old=names, new=names)
    def rename(self, old: str, new: str) -> None:
        app_id = next((app for app, name in self.present.items() if name == old), None)
        if app_id is None or old == new:
            return
        write = self.records.names.rename(app_id, new, self.now)
        if not self.may_have(new, self.owner[app_id]):
            assert self.records.refusal(self.records.apps.write(write)).code == "name_taken"
            return
        self.records.do(self.records.apps.write(write))
        self.give_up(app_id)
        self.present[app_id] = new
        self.last.pop(new, None)

    @rule(name=names)
    def purge(self, name: str) -> None:
        for app_id in [app for app, has in self.present.items() if has == name]:
            self.records.do(self.records.apps.remove(app_id, self.now))
            self.give_up(app_id)

    @rule(name=names, to=actors)
    def hand_over(self, name: str, to: Principal) -> None:
        for app_id in [app for app, has in self.present.items() if has == name]:
            self.records.do(self.records.apps.write(moved(app_id, to, self.now)))
            self.owner[app_id] = to

    @rule(days=st.sampled_from([1, 10, 29, 30]))
    def wait(self, days: int) -> None:
        self.now += days * DAY_SECONDS

    @rule()
    def tidy(self) -> None:
        self.records.do(self.records.names.forget(self.now))

    @invariant()
    def each_name_has_one_app_and_leads_to_no_stranger_s(self) -> None:
        records = self.records
        apps = {app.id: app for app in records.do(records.apps.everything())}
        assert {app.id: app.name for app in apps.values()} == self.present
        assert {app.id: app.owner_id for app in apps.values()} == {id_: self.owner[id_].id for id_ in self.present}
        assert records.do(records.names.hostnames()) == {name: app_id for app_id, name in self.present.items()}
        expected = {
            name: self.present[app_id]
            for name, (app_id, until) in self.last.items()
            if app_id in self.present and until > self.now
        }
        assert records.do(records.names.redirects(self.now)) == expected


def test_a_history_of_names() -> None:
    """Whatever they do, a name has one app, leads to no stranger's, and is kept for its last owner for its time."""
    run_state_machine_as_test(History, settings=settings(max_examples=25, stateful_step_count=30, deadline=None))
