"""A draft that runs beside what is live, at a host name of its own: what the data plane calls a service."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import App, Network, Settings, TrialNetwork
from steadyd.proxy.service import Barrier, Holder
from steadyd.runner.candidate import Staged
from steadyd.runner.gate import Gate
from steadyd.runner.instance import Instance
from steadyd.runner.scroll import Scroll

LABEL_BYTES = 16
IDLE_SECONDS_MAX = 600.0
"""Without a request."""
LIFE_SECONDS_MAX = 14_400.0
"""Of one draft, however it is used: a page that listens for ever may lie forgotten in some tab."""


def new_label() -> str:
    """A label that nobody guesses, and that is no app's name: those begin with a letter."""
    return "0" + base64.b32encode(secrets.token_bytes(LABEL_BYTES)).decode().rstrip("=").lower()


def network_of(settings: Settings) -> Network:
    """What a draft reaches: the app's own network, which its trials get too where they need it; nothing, where they are
    to reach nothing. Somebody looks at it, so it is not tried without first."""
    return Network.NONE if settings.trial.network is TrialNetwork.OFF else settings.network


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a preview stays."""

    idle_seconds: float = IDLE_SECONDS_MAX
    life_seconds: float = LIFE_SECONDS_MAX


@dataclass(frozen=True, slots=True)
class Data:
    """A folder with a copy of the data, and where the app's databases stood when it was made."""

    staged: Staged
    stood: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Started:
    """How the draft was started last. `ms` is from the request to the first moment at which it listens."""

    base_version: int
    ms: float
    fresh: bool
    """On a new copy of the data."""
    notes: tuple[str, ...] = ()


class Preview:
    """One app's. It is started again for each draft, and keeps its host name and, mostly, its data meanwhile."""

    id = ""
    """It stands in no request log."""
    owned_by_steadyd = False
    hidden = True
    body_bytes_max: int | None = None
    barrier: Barrier | None = None

    def __init__(self, app: App, scroll: Scroll, bounds: Bounds, waiters_max: int, wait_seconds: float) -> None:
        self.app = app
        self.name = app.name
        self.label = new_label()
        self.scroll = scroll
        self.instance: Instance | None = None
        self.data: Data | None = None
        self.started = Started(0, 0.0, True)
        self.death = ""
        """Why it does not run any more, in one sentence; "" while it does."""
        self.renewed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when what runs now is ended by us, for the next draft or for good."""
        self._bounds = bounds
        self._born = self._rested = time.monotonic()
        self._gate = Gate(waiters_max)
        self._wait_seconds = wait_seconds

    # Service

    def claim(self, holder: Holder) -> None:
        if self.instance is not None:
            self.instance.claim(holder)
        elif self.death:
            holder.refused(SteadyError("app_died", f"The draft does not run: {self.death} Start it from the editor."))
        else:
            self._gate.wait(holder, self._wait_seconds)

    def forget(self, holder: Holder) -> None:
        self._gate.forget(holder)

    # Its owner's side

    @property
    def ends_at(self) -> float:
        """When it ends if nobody asks it from now on, in monotonic seconds."""
        now, instance = time.monotonic(), self.instance
        used = self._rested if instance is None else now if instance.claims else instance.last_used
        return min(self._born + self._bounds.life_seconds, used + self._bounds.idle_seconds)

    def run(self, instance: Instance, started: Started) -> None:
        """Requests go to `instance` from now on."""
        self.instance, self.started, self.death = instance, started, ""
        self._born = time.monotonic()

        def unreachable() -> None:
            """It closed its socket or is dying."""
            if self.instance is instance:
                instance.kill()

        instance.on_unreachable = unreachable
        self._gate.open(self.claim)

    async def hold(self) -> None:
        """End its process; who asks from now on waits for the next."""
        self.renewed.cancel()
        self.renewed = asyncio.get_running_loop().create_future()
        instance, self.instance, self.death = self.instance, None, ""
        if instance is not None:
            instance.kill()
            await instance.gone()

    def died(self, why: str) -> None:
        """Its process ended by itself."""
        self.instance, self.death, self._rested = None, why, time.monotonic()
        self._gate.refuse(SteadyError("app_died", f"The draft does not run: {why} Start it from the editor."))

    async def end(self, why: str) -> None:
        """Nothing of it runs when this returns. Its folder is the caller's to throw."""
        self._gate.refuse(SteadyError("unknown_host", f"This preview has ended. {why}"))
        self.scroll.say(self.app.id, 0, f"The preview ended. {why}")
        await self.hold()
        self.death = self.death or why
