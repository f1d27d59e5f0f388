"""Rehearsal: what the app was asked lately is asked again, of the live version and of a candidate, each on a copy of
the data, and where their answers differ is told.

Only what changes nothing and says nobody's name is asked again (GET and HEAD without credentials or a query). The live
version is asked twice: what differs between its own answers tells nothing about the candidate's.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from steadyd.errors import SteadyError
from steadyd.model import App, Network, TrialNetwork, Version
from steadyd.runner.candidate import Trials
from steadyd.runner.controller import Turn
from steadyd.runner.failure import Failure
from steadyd.runner.folder import Place, scratch_path
from steadyd.runner.instance import Instance

REQUESTS_MAX = 1_000
REHEARSAL_SECONDS_MAX = 60.0
"""For everything that is asked; what is left then is not asked."""
ANSWER_SECONDS_MAX = 5.0
ANSWER_BYTES_MAX = 16 << 20
"""Of one answer's body; what goes on longer than either counts as open."""
PIECE_BYTES = 64 << 10
SLOWER_FACTOR = 3.0
SLOWER_MS = 50.0
"""An answer is slower that takes so many times as long, and so much longer."""
TOLD_MAX = 20
"""Differences that are told one by one."""
OPEN, NONE = -1, 0
SLOWER = "time"
HELD = ("status", "content type", "size")
"""What a strict rehearsal goes by; times depend on what else the machine does."""

Asked = tuple[str, str]
"""Method and path."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked again, the oldest first; `strict`: a difference ends the deploy."""

    requests: tuple[Asked, ...] = ()
    strict: bool = False
    wanted: bool = False
    """Whether a rehearsal was asked for, though there may be nothing to ask."""


NO_REHEARSAL = Wish()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is compared. `status` 0 is none at all; `size` counts bytes of the body, OPEN for one that did not end."""

    status: int
    content_type: str = ""
    size: int = 0
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """One request that the candidate answers otherwise: `what` names how, of HELD or SLOWER."""

    method: str
    path: str
    what: tuple[str, ...]
    before: Answer
    after: Answer

    def __str__(self) -> str:
        told = [f"{name} {_shown(name, self.after)} instead of {_shown(name, self.before)}" for name in self.what]
        return f"{self.method} {self.path}: {', '.join(told)}"

    @property
    def held(self) -> bool:
        return any(name in HELD for name in self.what)


def compare(asked: Asked, before: Answer, again: Answer, after: Answer) -> Difference | None:
    """How the candidate's answer differs from what both of the live version's agree on."""
    what = [
        name
        for name, of in (("status", "status"), ("content type", "content_type"), ("size", "size"))
        if getattr(before, of) == getattr(again, of) != getattr(after, of)
    ]
    slow = max(before.ms, again.ms)
    if after.ms > slow * SLOWER_FACTOR and after.ms > slow + SLOWER_MS:
        what.append(SLOWER)
    return Difference(*asked, tuple(what), before, after) if what else None


@dataclass(frozen=True, slots=True)
class Report:
    """How a rehearsal went. `asked` is how many requests there was time for."""

    asked: int
    differences: tuple[Difference, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""
        if not self.differences:
            return (f"Rehearsed {_requests(self.asked)}: all are answered as before.",)
        told = [f"Rehearsed {_requests(self.asked)}: {len(self.differences)} answered otherwise."]
        told += [f"{difference}." for difference in self.differences[:TOLD_MAX]]
        left = len(self.differences) - TOLD_MAX
        return (*told, *([f"And {left} more."] if left > 0 else []))

    def refusal(self) -> SteadyError | None:
        """Why a strict rehearsal does not let the candidate go live."""
        held = [difference for difference in self.differences if difference.held]
        if not held:
            return None
        reason = f"{len(held)} of {_requests(self.asked)} would be answered otherwise. {held[0]}."
        lines = [str(difference) for difference in held[:TOLD_MAX]]
        details = {"step": "rehearse", "reason": reason, "differences": lines, "logs": lines}
        return SteadyError("deploy_failed", f"The rehearsal found differences: {reason}", details)


async def rehearsed(trials: Trials, turn: Turn, version: Version, wish: Wish) -> tuple[str, ...]:
    """The step of a deploy, where one is wanted and there is a live version; sentences for the user.

    Raises:
        SteadyError, Failure: a strict one found differences, or could not be had.
    """
    if not wish.wanted or turn.live is None:
        return ()
    if not wish.requests:
        return ("Nothing was rehearsed: no GET or HEAD without credentials and query is in the request log yet.",)
    async with turn.operation.step("rehearse") as told:
        try:
            report = await rehearse(trials, turn.app, turn.live, version, wish.requests)
        except (Failure, SteadyError) as error:
            if wish.strict:
                raise
            return (f"Nothing was rehearsed: {error.message}",)
        told["differences"] = [str(difference) for difference in report.differences[:TOLD_MAX]]
        refusal = report.refusal() if wish.strict else None
        if refusal is not None:
            raise refusal
    return report.notes()


async def rehearse(trials: Trials, app: App, live: Version, version: Version, requests: Sequence[Asked]) -> Report:
    """Ask both versions, one request after the other.

    Raises:
        SteadyError, Failure: one of them does not start on its copy.
    """
    host = trials.ground.urls.app(app.name).partition("://")[2]
    until = time.monotonic() + REHEARSAL_SECONDS_MAX
    found: list[Difference] = []
    count = 0
    async with _copies(trials, app, live) as (first, second), contextlib.AsyncExitStack() as stack:
        former = await stack.enter_async_context(_instance(trials, app, live, first))
        candidate = await stack.enter_async_context(_instance(trials, app, version, second))
        for asked in requests:
            count += 1
            before, again, after = [
                await asyncio.to_thread(ask, instance.address, host, asked) for instance in (former, former, candidate)
            ]
            difference = compare(asked, before, again, after)
            if difference is not None and SLOWER in difference.what:  # once may be chance
                once_more = await asyncio.to_thread(ask, candidate.address, host, asked)
                difference = compare(asked, before, again, replace(after, ms=min(after.ms, once_more.ms)))
            if difference is not None:
                found.append(difference)
            if time.monotonic() > until:
                break
    return Report(count, tuple(found))


def ask(address: str, host: str, asked: Asked) -> Answer:
    """One request on an instance's socket. Blocks."""
    method, path = asked
    began = time.monotonic()
    connection = http.client.HTTPConnection(host, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(ANSWER_SECONDS_MAX)
        connection.sock.connect(address)
        headers = {"Host": host, "User-Agent": "steadyd-rehearsal", "Accept": "*/*", "Connection": "close"}
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        ms = (time.monotonic() - began) * 1000
        media = response.headers.get_content_type() if response.headers.get("content-type") else ""
        return Answer(response.status, media, _size(response, began), round(ms, 1))
    except (OSError, http.client.HTTPException, ValueError):
        return Answer(NONE)
    finally:
        connection.close()


# Private


@asynccontextmanager
async def _copies(trials: Trials, app: App, live: Version) -> AsyncIterator[tuple[Place, Place]]:
    """The data twice, as of one moment: the second is a copy of the first."""
    place = trials.ground.place(app)
    first, second = [Place(scratch_path(place, "rehearsal"), place.uid) for _ in range(2)]
    try:
        await trials.copies.make(place, first, live)
        if first.app.is_dir():
            await trials.copies.make(first, second, live)
        yield first, second
    finally:
        for scratch in (first, second):
            await trials.ground.trash.throw(scratch.root)


@asynccontextmanager
async def _instance(trials: Trials, app: App, version: Version, scratch: Place) -> AsyncIterator[Instance]:
    """An instance of `version` beside the live one; without network, where its trials have none."""
    ground = trials.ground
    await ground.link(app, version, scratch)
    plan = await ground.plan(app, version, scratch, environment="trial")
    settings = ground.settings(app, version)
    network = settings.network if settings.trial.network is TrialNetwork.APP else Network.NONE
    plan = replace(plan, reach=replace(plan.reach, network=network))
    instance = await ground.starter.start(plan, ground.timing.start_seconds)
    try:
        yield instance
    finally:
        instance.kill()
        await instance.gone()


def _size(response: http.client.HTTPResponse, began: float) -> int:
    size = 0
    try:
        while piece := response.read1(PIECE_BYTES):
            size += len(piece)
            if size > ANSWER_BYTES_MAX or time.monotonic() - began > ANSWER_SECONDS_MAX:
                return OPEN
    except TimeoutError:
        return OPEN
    return size


def _shown(name: str, answer: Answer) -> str:
    if not answer.status:
        return "no answer"
    if name == SLOWER:
        return f"{answer.ms:g} ms"
    if name == "size":
        return "no end" if answer.size == OPEN else f"{answer.size} bytes"
    return str(answer.status) if name == "status" else answer.content_type or "none"


def _requests(count: int) -> str:
    return f"{count} request{'' if count == 1 else 's'}"
