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


class Service(Protocol):
    """What a host name leads to: an app, or the control plane."""

    id: str
    name: str

    owned_by_steadyd: bool
    """True for the control plane: its answers may carry `Steady-*` headers and cookies for its own host."""

    body_bytes_max: int | None
    """Largest request body in bytes; 0 is no limit, None the listener's own."""

    def claim(self, holder: Holder) -> None:
        """Ask for an instance: exactly one of `holder.granted` / `holder.refused` is called, now or later."""

    def forget(self, holder: Holder) -> None:
        """The client went away while waiting: leave the queue. No call to the holder follows."""
