"""The control plane as an app: which of an app's calls and pages it has, and what the others answer."""

from __future__ import annotations

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.core import CORE_NAME
from steadyd.web.auth import Caller
from steadyd.web.rooms import Rooms

PLACES = frozenset({"logs", "requests", "metrics"})
"""Those of an app's pages that it has."""
PARTS = ("", "/logs", "/requests", "/requests/{id}", "/metrics", "/metrics/series", "/live")
OPEN = frozenset({f"GET {root}{part}" for root in ("/api/apps/{name}", "/apps/{name}") for part in PARTS})
"""`METHOD /path` of everything that can be asked of it: to look. Whatever comes new is closed."""
CLOSED = (
    f"“{CORE_NAME}” is the control plane itself. It has a log, requests and metrics; nothing of it is deployed, set, "
    "stopped or deleted here."
)


def core_of(rooms: Rooms, caller: Caller, name: str, method: str, path: str) -> App | None:
    """The control plane, if that is what `name` means to this caller. To all but the operator it is a name that nobody
    has. `path` is the route's.

    Raises:
        SteadyError: `core_service` for what it does not have.
    """
    core = rooms.core
    if core is None or name != core.name or not caller.owns(core):
        return None
    if f"{'GET' if method == 'HEAD' else method} {path}" not in OPEN:
        raise SteadyError("core_service", CLOSED, {"name": name})
    return core
