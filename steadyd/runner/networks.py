"""The apps' networks: made before they are needed, one for each instance, gone with it.

Making one takes 5 ms and a wake has no 5 ms to give, so a few of each class lie ready. An instance enters its network
before its first instruction; what it may reach is decided outside of it, on packets (`linux/ruleset.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from steadyd.errors import SteadyError
from steadyd.linux import ruleset
from steadyd.model import Network
from steadyd.reach import HOST_ADDRESS, Reach, Target
from steadyd.runner.logs import Logs
from steadyd.runner.plumbing import Line, Plumbing
from steadyd.runner.relay import Relay
from steadyd.runner.sightings import Sightings

logger = logging.getLogger("steadyd.network")

READY: Mapping[str, int] = {ruleset.ACCOUNT: 8, ruleset.GUEST: 4, ruleset.PRIVATE: 1, ruleset.TRIAL: 2}
"""Networks kept ready for each class: as many instances as may start in a burst."""
WAIT_SECONDS_MAX = 5.0
"""For a network when none lies ready."""
COUNT_SECONDS = 5.0
"""Between two looks at how much each app sent."""
REFILL_SECONDS = 30.0
GUEST_BYTES_PER_DAY_MAX = 256 << 20
"""What all apps of one guest may send into the internet in one day (UTC); each of them is cut off above."""
DAY_SECONDS = 86_400
LOST = "This app lost its network, because what makes networks was started anew. Restart it: steadyd restart NAME"


@dataclass(eq=False)
class Attachment:
    """What one instance has of the network; `release` it when the instance is gone."""

    app_id: str
    reach: Reach
    line: Line | None = None
    """None: nothing at all, which bubblewrap can make by itself."""
    namespaces: tuple[int, ...] = ()
    """For `Confinement`."""
    targets: tuple[Target, ...] = ()
    """What the operator opened to it."""
    relays: dict[Target, Relay] = field(default_factory=dict)
    """Those of its targets that are ports of this machine."""
    close_door: Callable[[], None] = lambda: None
    lost: bool = False
    """Its router ended under it, which its app was told."""
    counted: int = 0
    """Bytes that were counted for its app already."""
    owner: Networks | None = field(default=None, repr=False)

    def release(self) -> None:
        """Give it up. Its namespace ends with its last descriptor and process."""
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.forget(self)


class Networks:
    """Every network of this host's apps. Without `plumbing` no app has any."""

    def __init__(self, plumbing: Plumbing, logs: Logs) -> None:
        self.targets: dict[str, tuple[Target, ...]] = {}
        """App's id → what the operator opened to it."""
        self.open_door: Callable[[str, socket.socket, socket.socket], Callable[[], None]] | None = None
        """Serves the apps of an owner (an id) on the two sockets of a private line, until what it returns is called."""
        self.on_spent: Callable[[str, str], None] = lambda app_id, told: logs.say(app_id, 0, told)
        """Is told of an app (an id, a sentence) that is cut off for today."""
        self._plumbing = plumbing
        self._logs = logs
        self._ready: dict[str, list[Line]] = {letter: [] for letter in ruleset.CLASSES}
        self._live: set[Attachment] = set()
        self._changed = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._told: set[str] = set()
        self._sent: dict[str, int] = defaultdict(int)
        self._today: dict[str, int] = defaultdict(int)
        self._day = 0
        self._spent: set[Line] = set()
        self._work: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> dict[str, int]:
        """How many lie ready, by class."""
        return {letter: len(lines) for letter, lines in self._ready.items()}

    @property
    def problem(self) -> str:
        """Why apps have no network now, in one sentence; "" if they have one."""
        return self._plumbing.problem

    async def take(self, app_id: str, reach: Reach, sightings: Sightings | None = None) -> Attachment:
        """A network for an instance that is about to start. `sightings` learns what a candidate asks for in vain.

        Raises:
            SteadyError: `cannot_start` if there is none within WAIT_SECONDS_MAX.
        """
        if reach.network is Network.NONE and not (reach.tried and self._plumbing.pid):
            return Attachment(app_id, reach)
        if self._plumbing.problem and not self._plumbing.pid:
            self._tell(app_id)
            return Attachment(app_id, reach)
        line = await self._line(ruleset.class_of(reach))
        entered = (*self._plumbing.namespaces, line.descriptor)
        network = Attachment(app_id, reach, line, entered, owner=self)
        self._live.add(network)
        if self._plumbing.problem and not reach.tried:
            self._tell(app_id)
        try:
            if reach.tried:
                if sightings is not None:
                    sightings.watch(*line.door)
                    network.close_door = sightings.close
                return network
            if reach.network is Network.PRIVATE and self.open_door is not None:
                network.close_door = self.open_door(reach.owner, *line.door)
            await self._open(network, self.targets.get(app_id, ()))
        except BaseException:
            network.release()
            raise
        return network

    def hand_over(self, network: Attachment, app_id: str, reach: Reach) -> bool:
        """A network that was taken before anybody was known is this app's now; false if it leads nowhere any more."""
        if network.line is not None and network.line.router != self._plumbing.pid:
            return False
        if self._plumbing.problem:
            self._tell(app_id)
        network.app_id, network.reach = app_id, reach
        return True

    def forget(self, network: Attachment) -> None:
        """`Attachment.release` calls it, once."""
        self.count()
        self._live.discard(network)
        line = network.line
        assert line is not None
        network.close_door()
        for relay in network.relays.values():
            relay.close()
        line.close()
        if line.router != self._plumbing.pid:
            return  # its rules went with its router, and its name may be another's by now
        if closed := ruleset.allowed(line.name, network.targets, "delete"):
            self._later(closed)
        if line in self._spent:
            self._spent.discard(line)
            self._later(ruleset.spent(other.name for other in self._spent))

    async def set_targets(self, app_id: str, targets: tuple[Target, ...]) -> None:
        """Open exactly these to an app, also while it runs; what is closed is cut.

        Raises:
            SteadyError: `cannot_start`, with what the plumber said.
        """
        self.targets[app_id] = targets
        for network in [live for live in self._live if live.app_id == app_id and not live.reach.tried]:
            await self._open(network, targets)

    def sent(self, app_id: str) -> int:
        """Bytes that an app sent into its network since the daemon started, as of the last count."""
        return self._sent.get(app_id, 0)

    def count(self) -> None:
        """Take in what every app sent so far."""
        traffic = self._plumbing.traffic()
        for network in self._live:
            if network.line is not None and network.line.router == self._plumbing.pid:
                sent = traffic.get(network.line.name, network.counted)
                self._sent[network.app_id] += sent - network.counted
                if network.reach.guest:
                    self._today[network.reach.owner] += sent - network.counted
                network.counted = sent

    async def run(self) -> None:
        """Keep networks ready, and count. Two loops in one task, which whoever wires us cancels."""
        await asyncio.gather(self._refill(), self._watch())

    async def tick(self, now: float) -> None:
        """Count, cut off the guests who sent too much today, refuse the host's newest addresses. `now`: since 1970."""
        if self._day != (today := int(now // DAY_SECONDS)):
            self._day, self._today = today, defaultdict(int)
        self.count()
        for network in self._live:
            if network.line is not None and network.line.router != self._plumbing.pid != 0 and not network.lost:
                network.lost = True
                self._logs.say(network.app_id, 0, LOST)
        over = {owner for owner, sent in self._today.items() if sent > GUEST_BYTES_PER_DAY_MAX}
        router = self._plumbing.pid
        lines = {network.line: network for network in self._live if network.line and network.reach.owner in over}
        spent = {line for line in lines if line.router == router}
        for line, network in lines.items():
            if line in spent - self._spent:
                amount = f"{GUEST_BYTES_PER_DAY_MAX >> 20} MiB"
                told = f"Your apps sent {amount} today, a guest's daily amount: no more until midnight UTC."
                self.on_spent(network.app_id, told)
        if spent != self._spent:
            await self._plumbing.rule(ruleset.spent(line.name for line in spent))
            self._spent = spent
        await self._plumbing.refresh()

    def close(self) -> None:
        """Let go of what lies ready. Instances must be gone."""
        for lines in self._ready.values():
            while lines:
                lines.pop().close()
        for task in self._work:
            task.cancel()

    # Private

    async def _open(self, network: Attachment, targets: tuple[Target, ...]) -> None:
        line, before, network.targets = network.line, network.targets, targets
        assert line is not None
        opened = [target for target in targets if target not in before]
        closed = [target for target in before if target not in targets]
        if rules := ruleset.allowed(line.name, opened) + ruleset.allowed(line.name, closed, "delete"):
            await self._plumbing.rule(rules)
        for target in closed:
            if target in network.relays:
                network.relays.pop(target).close()
        for target in opened:
            if target.is_host:
                listening = await self._plumbing.listen(line, "tcp", HOST_ADDRESS, target.port)
                network.relays[target] = Relay(listening, target.port)

    async def _line(self, letter: str) -> Line:
        """One that lies ready, without a wait; else the next one made."""
        self._drop_stale(letter)
        if not self._ready[letter]:
            self._wanted.set()
            try:
                async with asyncio.timeout(WAIT_SECONDS_MAX), self._changed:
                    await self._changed.wait_for(lambda: self._ready[letter])
            except TimeoutError:
                message = f"Its network could not be made within {WAIT_SECONDS_MAX:g} s. {self._plumbing.problem}"
                raise SteadyError("cannot_start", message.strip()) from None
        self._wanted.set()
        return self._ready[letter].pop()

    def _drop_stale(self, letter: str) -> None:
        """Networks of a router that is gone lead nowhere."""
        for line in [line for line in self._ready[letter] if line.router != self._plumbing.pid]:
            self._ready[letter].remove(line)
            line.close()

    async def _refill(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), REFILL_SECONDS)
            self._wanted.clear()
            try:
                while letter := self._lacking():
                    self._ready[letter].append(await self._plumbing.make(letter))
                    async with self._changed:
                        self._changed.notify_all()
            except SteadyError as error:
                logger.warning("%s", error.message)

    def _lacking(self) -> str:
        """The class that is furthest from full; "" when all are, or nothing can be made."""
        for letter in ruleset.CLASSES:
            self._drop_stale(letter)
        lacks = {letter: READY[letter] - len(lines) for letter, lines in self._ready.items()}
        letter = max(lacks, key=lambda letter: lacks[letter] / READY[letter])
        return letter if lacks[letter] > 0 and self._plumbing.pid else ""

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            try:
                await self.tick(time.time())
            except SteadyError as error:
                logger.warning("%s", error.message)

    def _later(self, text: str) -> None:
        task = asyncio.ensure_future(_quietly(self._plumbing.rule(text)))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _tell(self, app_id: str) -> None:
        """Once for each app: it wanted a network, and there is none."""
        if app_id not in self._told:
            self._told.add(app_id)
            self._logs.say(app_id, 0, f"This app has no network: {self._plumbing.problem}")


# Private


async def _quietly(ruling: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(SteadyError):  # the router is gone, and its rules with it
        await ruling
