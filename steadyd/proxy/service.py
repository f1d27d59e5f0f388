"""The seam between the data plane and whatever runs behind a host name.

`proxy/` knows no runner and no store. It is handed a table from host name to `Service`, asks a service for an
`Upstream` on behalf of a `Holder`, and gives the upstream back. Everything here is synchronous: a claim contains no
`await`, so between the decision and the hold nothing else can run.
"""

from __future__ import annotations

from typing import Any, Protocol

from steadyd.errors import SteadyError


class Upstream(Protocol):
    """One running instance as the data plane sees it."""

    address: str
    """Path of the Unix socket it answers on."""

    pool: list[Any]
    """Idle upstream connections, kept by the data plane, never shared between instances. The data plane closes them
    when `retired` is true or the instance calls `on_retire`."""

    version: int
    """Number of the version that this instance runs, for the request log; 0 if there is none."""

    retired: bool
    """True once no new claim will be granted (draining, stopping or dead): do not pool connections any more."""

    def unreachable(self) -> None:
        """Its socket refuses connections: whatever the process still does, it serves nobody. The data plane then
        releases its claim and asks the service again, since nothing of the request was sent."""

    def broke_off(self, holder: Holder) -> None:
        """`holder`'s connection ended in the middle of its request: it counts as in flight if the instance now proves
        dead. The release of the claim follows."""

    def release(self, holder: Holder) -> None:
        """End `holder`'s claim. Called exactly once for each `granted`."""


class Holder(Protocol):
    """One request's side of a claim; the data plane implements it."""

    def granted(self, upstream: Upstream) -> None:
        """The claim is held: send the request. `release` must follow, once, whatever happens."""

    def refused(self, error: SteadyError) -> None:
        """There will be no instance: answer with `error`. Nothing is held."""

    def describe(self) -> tuple[str, str]:
        """(method, path) of the request, the path without its query. Only asked when something went wrong."""

    def wind_down(self) -> None:
        """A swap begins: end what is long-lived now (WebSocket: close 1012 at a frame boundary; event stream or an
        answer open longer than a second: a complete last chunk where the framing allows). Short answers go on."""

    def cut(self) -> None:
        """The drain deadline passed: end the exchange at once and release the claim."""


class Waiter(Protocol):
    """A piece of an answer that waits at a barrier."""

    def passed(self) -> None:
        """What it may tell of is safe: send it."""

    def given_up(self, error: SteadyError) -> None:
        """Nobody may see it: answer with `error` or, where the answer has begun, break it off."""


class Barrier(Protocol):
    """Holds an app's answers back until what they may tell of is safe elsewhere too."""

    def refusal(self) -> SteadyError | None:
        """Why no answer could pass now or soon: then the request need not be made. None: it can be tried."""

    def holds(self, waiter: Waiter, size: int) -> bool:
        """Whether a piece of `size` bytes, which has just come from an instance, must wait. If so, `waiter.passed` or
        `waiter.given_up` is called, once, later; if not, all that the app has committed by now is safe.

        Raises:
            SteadyError: `not_replicated`, it must not leave and there is no use in waiting.
        """

    def forget(self, waiter: Waiter) -> None:
        """It does not wait any more: no call to it follows."""

    def late(self) -> SteadyError:
        """What to tell who can wait no longer."""

    async def settle(self) -> None:
        """Return when all that the app has committed by now is safe.

        Raises:
            SteadyError: `not_replicated`.
        """


class Service(Protocol):
    """What a host name leads to: an app, or the control plane."""

    id: str
    """"" for what keeps no request log."""
    name: str

    owned_by_steadyd: bool
    """True for the control plane: its answers may carry `Steady-*` headers and cookies for its own host."""

    hidden: bool
    """True where every answer tells search engines to leave it alone."""

    body_bytes_max: int | None
    """Largest request body in bytes; 0 is no limit, None the listener's own."""

    @property
    def barrier(self) -> Barrier | None:
        """What its answers wait for before they leave; None for most."""

    def claim(self, holder: Holder) -> None:
        """Ask for an instance: exactly one of `holder.granted` / `holder.refused` is called, now or later."""

    def forget(self, holder: Holder) -> None:
        """The client went away while waiting: leave the queue. No call to the holder follows."""
