"""Notices: one message to an address that an owner chose, about what they would want to know now.

An event costs the loop a look at a table. Whatever follows happens in a task of its own, of which there are at most so
many: whose address it goes to, whether it was told of lately, and a few tries to send it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from steadyd.alarm import TITLES, Alarm, Cadence
from steadyd.errors import SteadyError
from steadyd.model import App, Event, Principal
from steadyd.post import Post, Undelivered
from steadyd.records.apps import Apps
from steadyd.records.people import People
from steadyd.urls import Urls
from steadyd.webhook import Webhook, read_webhook

NOTICES_MAX = 256
"""Notices on their way, the retries among them; past it new ones are dropped, and the daemon's log says so."""
SENDS_AT_ONCE_MAX = 4
RETRY_SECONDS = (5.0, 30.0, 120.0)
"""Waits before the second, third and fourth try; there is no fifth."""
MESSAGE_CHARACTERS_MAX = 1_000
HOST = ""
"""In place of an app's id: a notice about this host."""
OPERATORS_TOO = {"bun_refused": "host_bun"}
"""What of an app is the operator's doing as well, and the kind of their notice."""

logger = logging.getLogger("steadyd.notices")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told. `about` is the app's name, or the host's; `at` is seconds since 1970."""

    kind: str
    about: str
    at: float
    message: str
    url: str

    @property
    def title(self) -> str:
        return TITLES[self.kind].format(self.about)

    @property
    def text(self) -> str:
        when = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{self.title}, {when}.\n{_plain(self.message)}\n{self.url}"

    def written(self, to: Webhook) -> tuple[dict[str, str], bytes]:
        """Headers and body in the form that this address takes. Slack reads `text`, Discord `content`."""
        if to.plain:
            headers = {"Content-Type": "text/plain; charset=utf-8", "Title": _ascii(self.title)}
            return headers, self.text.encode()
        fields = {
            "kind": self.kind,
            "title": self.title,
            "message": _plain(self.message),
            "about": self.about,
            "at": datetime.fromtimestamp(round(self.at, 3), UTC).isoformat().replace("+00:00", "Z"),
            "url": self.url,
            "text": self.text,
            "content": self.text,
        }
        return {"Content-Type": "application/json"}, json.dumps(fields).encode()


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a test notice."""

    host: str
    status: int


class Notices:
    """Tells owners. `say` writes into an app's log: (app id, text)."""

    def __init__(
        self, apps: Apps, people: People, urls: Urls, post: Post, host_name: str, say: Callable[[str, str], None]
    ) -> None:
        self._apps = apps
        self._people = people
        self._urls = urls
        self._post = post
        self._host_name = host_name
        self._say = say
        self._alarm = Alarm()
        self._cadence = Cadence()
        self._slots = asyncio.Semaphore(SENDS_AT_ONCE_MAX)
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    def happened(self, app_id: str, event: Event) -> None:
        """Look at an app's event. Never waits, never raises."""
        for kind in self._alarm.kinds(app_id, event, time.monotonic()):
            self._begin(app_id, kind, self._about_app(app_id, kind, event))
            if kind in OPERATORS_TOO:
                self.host_happened(OPERATORS_TOO[kind], event.message)

    def host_happened(self, kind: str, message: str) -> None:
        """Tell the operator about this host."""
        self._begin(HOST, kind, self._about_host(kind, message))

    async def test(self, principal: Principal, app: App | None = None) -> Sent:
        """Send a test to where notices about `app`, or to `principal`, go.

        Raises:
            SteadyError: `invalid` if no address is set, `notify_failed` with the reason if it does not arrive.
        """
        if app is None:
            url, about, page = principal.notify, self._host_name, self._urls.control
        else:
            url, about, page = await self._address_of(app), app.name, self._urls.page(app.name)
        if not url:
            raise SteadyError("invalid", "No address is set. Set one: steadyd notify [NAME] https://…")
        to = read_webhook(url)
        said = "If you can read this, notices arrive. There is nothing to do."
        async with self._slots:
            try:
                status = await self._send(to, Notice("test", about, time.time(), said, page))
            except Undelivered as error:
                raise SteadyError("notify_failed", f"The notice was not taken: {error.reason}.") from None
        return Sent(to.host, status)

    async def close(self) -> None:
        """Give up what has not arrived."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Private

    def _begin(self, app_id: str, kind: str, work: Coroutine[Any, Any, None]) -> None:
        key = (app_id, kind)
        if key in self._under_way or len(self._under_way) >= NOTICES_MAX:
            work.close()
            if key not in self._under_way:
                logger.warning("a notice (%s) was dropped: %d are on their way", kind, NOTICES_MAX)
            return
        task = self._under_way[key] = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        del self._under_way[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a notice (%s) was not sent", key[1], exc_info=error)

    async def _about_app(self, app_id: str, kind: str, event: Event) -> None:
        app = await self._apps.by_id(app_id)
        if app is None or app.deleted_at is not None:
            return
        url = await self._address_of(app)
        if not url or not self._cadence.admit(app_id, kind, time.monotonic()):
            return
        page = f"{self._urls.page(app.name)}#death"
        problem = await self._deliver(url, Notice(kind, app.name, event.at, event.message, page))
        if problem:
            self._say(app_id, f"A notice ({kind}) could not be delivered: {problem}.")

    async def _about_host(self, kind: str, message: str) -> None:
        operator = await self._people.operator(time.time())
        if not operator.notify or not self._cadence.admit(HOST, kind, time.monotonic()):
            return
        notice = Notice(kind, self._host_name, time.time(), message, self._urls.control)
        problem = await self._deliver(operator.notify, notice)
        if problem:
            logger.warning("a notice (%s) could not be delivered: %s", kind, problem)

    async def _address_of(self, app: App) -> str:
        """The app's own, also where that is "" for nowhere; else its owner's."""
        if app.chosen.notify is not None:
            return app.chosen.notify
        owner = await self._people.by_id(app.owner_id)
        return owner.notify if owner is not None else ""

    async def _deliver(self, url: str, notice: Notice) -> str:
        """Try a few times; returns why it did not arrive, or ""."""
        try:
            to = read_webhook(url)
        except SteadyError as error:
            return error.message
        for wait in (*RETRY_SECONDS, None):
            try:
                async with self._slots:
                    await self._send(to, notice)
                return ""
            except Undelivered as error:
                if error.final or wait is None:
                    return error.reason
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns")

    async def _send(self, to: Webhook, notice: Notice) -> int:
        headers, body = notice.written(to)
        return await self._post.send(to, headers, body)


# Private


def _plain(text: str) -> str:
    """One line that any receiver can show."""
    return "".join(character if character.isprintable() else " " for character in text[:MESSAGE_CHARACTERS_MAX])


def _ascii(text: str) -> str:
    """For a header: a host may be called anything."""
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in text)
