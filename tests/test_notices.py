"""Notices from an event to the address of an owner, over real TLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from steadyd import notices as module
from steadyd.errors import SteadyError
from steadyd.model import App, Event, Principal
from steadyd.notices import MESSAGE_CHARACTERS_MAX, NOTICES_MAX, SENDS_AT_ONCE_MAX, Notice, Notices, Sent
from steadyd.records.apps import Apps, choosing, deleting
from steadyd.records.people import People
from steadyd.records.schema import STEADY
from steadyd.settings import change
from steadyd.store import Database
from steadyd.urls import Urls
from steadyd.webhook import read_webhook
from tests.proxy.stage import until
from tests.receiver import HOST, Receiver, receiver

SECONDS_MAX = 20.0
FAILED = Event(1_700_000_000.0, "failed", "It is not started any more: it threw.")
OOM = Event(1_700_000_000.0, "death", "Version 1 died: it needed more.", {"cause": "memory"})


class Stage:
    """Records, a receiver and notices; `said` is what apps' logs were told."""

    def __init__(self, database: Database, there: Receiver) -> None:
        self.apps, self.people = Apps(database), People(database)
        self.there = there
        self.said: list[tuple[str, str]] = []
        urls = Urls("localhost", "localhost", 8080)
        self.notices = Notices(
            self.apps, self.people, urls, there.post(), "test-host", lambda app, text: self.said.append((app, text))
        )

    async def owner(self, notify: str = "") -> Principal:
        owner = await self.people.operator(0.0)
        await self.people.set_notify(owner, notify)
        return await self.people.operator(0.0)

    async def app(self, name: str = "hello", notify: str | None = None) -> App:
        app = await self.apps.create(name, await self.people.operator(0.0), False, 0.0)
        await self.apps.write(choosing(app.id, lambda before: change(before, {"notify": notify})))
        found = await self.apps.by_id(app.id)
        assert found is not None
        return found

    async def settled(self) -> None:
        """Return when nothing is on its way."""
        await asyncio.gather(*self.notices._under_way.values(), return_exceptions=True)

    @property
    def titles(self) -> list[str]:
        return [json.loads(body)["title"] for _, body in self.there.taken]


Body = Callable[[Stage], Awaitable[None]]


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    database = Database(folder / "steady.db", STEADY)
    try:
        async with receiver() as there:
            stage = Stage(database, there)
            try:
                yield stage
            finally:
                await stage.notices.close()
    finally:
        database.close()


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Body], None]:
    def start(body: Body) -> None:
        async def main() -> None:
            async with asyncio.timeout(SECONDS_MAX), staged(tmp_path) as stage:
                await body(stage)

        uvloop.run(main())

    return start


Run = Callable[[Body], None]


def test_an_owner_is_told_app_cause_time_and_where_to_look(run: Run) -> None:
    async def body(stage: Stage) -> None:
        await stage.owner(stage.there.url)
        app = await stage.app()
        stage.notices.happened(app.id, OOM)
        await stage.settled()
        [(head, content)] = stage.there.taken
        assert "\r\nContent-Type: application/json\r\n" in head
        said = json.loads(content)
        assert (said["kind"], said["about"], said["at"]) == ("memory", "hello", "2023-11-14T22:13:20Z")
        assert said["url"] == "http://localhost:8080/apps/hello#death"
        assert said["text"] == said["content"]
        for words in ("hello needed more memory", "2023-11-14 22:13:20 UTC", "Version 1 died", said["url"]):
            assert words in said["text"]
        assert stage.said == []

    run(body)


def test_plain_text_has_its_title_in_a_header() -> None:
    notice = Notice("failed", "hello", 0.0, "It\nthrew \ud800.", "https://steady.example/apps/hello")
    headers, content = notice.written(read_webhook("https://ntfy.sh/x"))
    assert headers == {"Content-Type": "text/plain; charset=utf-8", "Title": "hello is not started any more"}
    lines = content.decode().split("\n")
    assert lines == [
        "hello is not started any more, 1970-01-01 00:00:00 UTC.", "It threw  .", "https://steady.example/apps/hello",
    ]  # fmt: skip
    assert Notice("host_disk", "höst", 0.0, "", "").written(read_webhook("https://ntfy.sh/x"))[0]["Title"].isascii()


def test_a_message_is_one_short_line_whatever_the_app_said() -> None:
    notice = Notice("failed", "hello", 0.0, "\x1b[2J\r\nX: y" + 10 * MESSAGE_CHARACTERS_MAX * "x", "u")
    _, said, _ = notice.text.split("\n")
    assert len(said) == MESSAGE_CHARACTERS_MAX
    assert said.isprintable()


def test_the_apps_own_address_goes_before_its_owners(run: Run) -> None:
    async def body(stage: Stage) -> None:
        await stage.owner("https://elsewhere.example/")
        for name, notify in (("own", stage.there.url), ("muted", "")):
            stage.notices.happened((await stage.app(name, notify)).id, FAILED)
        await stage.settled()
        assert stage.titles == ["own is not started any more"]
        assert stage.said == [], "nowhere is an address too"

    run(body)


def test_nobody_is_told_of_what_is_deleted_or_unknown_or_has_no_address(run: Run) -> None:
    async def body(stage: Stage) -> None:
        await stage.owner()
        quiet, deleted = await stage.app("quiet"), await stage.app("deleted", stage.there.url)
        await stage.apps.write(deleting(deleted.id, 1.0))
        for app_id in (quiet.id, deleted.id, "nobody"):
            stage.notices.happened(app_id, FAILED)
        await stage.settled()
        await stage.owner(stage.there.url)
        stage.notices.happened(quiet.id, FAILED)
        await stage.settled()
        assert stage.titles == ["quiet is not started any more"], "what reached nobody was not told"

    run(body)


def test_one_cause_is_told_once_an_hour_and_another_at_once(run: Run) -> None:
    async def body(stage: Stage) -> None:
        await stage.owner(stage.there.url)
        app = await stage.app()
        for event in (FAILED, FAILED, OOM, FAILED, OOM):
            stage.notices.happened(app.id, event)
            await stage.settled()
        assert stage.titles == ["hello is not started any more", "hello needed more memory than it may use"]

    run(body)


def test_a_notice_is_tried_again_and_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.01, 0.01))

    async def body(stage: Stage) -> None:
        await stage.owner(stage.there.url)
        no, yes = b"HTTP/1.1 503 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"
        stage.there.answers = [no, no, yes]
        stage.notices.happened((await stage.app("third")).id, FAILED)
        await stage.settled()
        assert (len(stage.there.taken), stage.said) == (3, [])
        stage.there.answers = [no]
        app = await stage.app("never")
        stage.notices.happened(app.id, FAILED)
        await stage.settled()
        assert len(stage.there.taken) == 6
        assert stage.said == [(app.id, f"A notice (failed) could not be delivered: {HOST} answered 503.")]

    run(body)


def test_what_will_never_be_taken_is_not_tried_again(run: Run) -> None:
    async def body(stage: Stage) -> None:
        stage.there.answers = [b"HTTP/1.1 410 Gone\r\n\r\n"]
        app = await stage.app("gone", stage.there.url)
        stage.notices.happened(app.id, FAILED)
        await stage.settled()
        assert len(stage.there.taken) == 1
        assert "answered 410" in stage.said[0][1]

    run(body)


def test_only_so_many_are_sent_at_once(run: Run) -> None:
    async def body(stage: Stage) -> None:
        stage.there.hold = asyncio.Event()
        await stage.owner(stage.there.url)
        for number in range(SENDS_AT_ONCE_MAX + 2):
            stage.notices.happened((await stage.app(f"app-{number}")).id, FAILED)
        await until(lambda: stage.there.waiting == SENDS_AT_ONCE_MAX, "the first ones")
        assert len(stage.there.taken) == SENDS_AT_ONCE_MAX
        stage.there.hold.set()
        await stage.settled()
        assert len(stage.there.taken) == SENDS_AT_ONCE_MAX + 2

    run(body)


def test_only_so_many_are_on_their_way(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(stage: Stage) -> None:
        for number in range(NOTICES_MAX + 5):
            stage.notices.happened(f"app-{number}", FAILED)
            stage.notices.happened(f"app-{number}", FAILED)
        assert len(stage.notices._under_way) == NOTICES_MAX
        assert [record.message for record in caplog.records] == [
            f"a notice (failed) was dropped: {NOTICES_MAX} are on their way"
        ] * 10
        await stage.settled()
        assert stage.notices._under_way == {}

    run(body)


def test_closing_gives_up_what_waits(run: Run) -> None:
    async def body(stage: Stage) -> None:
        stage.there.hold = asyncio.Event()
        stage.notices.happened((await stage.app("a-slow-one", stage.there.url)).id, FAILED)
        await until(lambda: stage.there.waiting, "it to be sent")
        await stage.notices.close()
        assert stage.notices._under_way == {}

    run(body)


def test_the_operator_hears_of_the_host(run: Run) -> None:
    async def body(stage: Stage) -> None:
        stage.notices.host_happened("host_disk", "Nobody listens.")
        await stage.settled()
        await stage.owner(stage.there.url)
        for _ in range(2):
            stage.notices.host_happened("host_disk", "92 % are used.")
            await stage.settled()
        [(_, content)] = stage.there.taken
        said = json.loads(content)
        assert said["title"] == "The disk of test-host is nearly full"
        assert (said["message"], said["url"]) == ("92 % are used.", "http://localhost:8080")

    run(body)


def test_the_operator_hears_of_an_app_that_a_new_bun_cannot_run(run: Run) -> None:
    async def body(stage: Stage) -> None:
        await stage.owner(stage.there.url)
        app = await stage.app()
        stage.notices.happened(app.id, Event(0.0, "bun_refused", "It fails its trial."))
        await stage.settled()
        titles = ["An app on test-host does not run with its new Bun", "hello does not run with this Bun"]
        assert sorted(stage.titles) == titles

    run(body)


def test_a_test_says_what_became_of_it(run: Run) -> None:
    async def body(stage: Stage) -> None:
        owner, app = await stage.owner(), await stage.app()
        for about in (None, app):
            with pytest.raises(SteadyError, match="No address is set") as caught:
                await stage.notices.test(owner, about)
            assert caught.value.code == "invalid"
        owner = await stage.owner(stage.there.url)
        for about in (None, app, None):
            assert await stage.notices.test(owner, about) == Sent(HOST, 204), "as often as one likes"
        assert stage.titles[:2] == ["A test notice about test-host", "A test notice about hello"]
        stage.there.answers = [b"HTTP/1.1 403 No\r\n\r\n"]
        with pytest.raises(SteadyError, match=r"was not taken: notify\.example answered 403\.") as caught:
            await stage.notices.test(owner)
        assert (caught.value.code, caught.value.status) == ("notify_failed", 502)

    run(body)
