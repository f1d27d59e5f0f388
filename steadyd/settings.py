"""What is set of an app: read from what people write, merged by who said it, kept within the host's ceilings. No I/O.

The owner's own choice goes before the version's file, and that before the host's default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Literal

from steadyd.errors import SteadyError
from steadyd.model import (
    Choices,
    Durability,
    Kind,
    Limits,
    Network,
    Settings,
    Trial,
    TrialMode,
    TrialNetwork,
    Visibility,
)
from steadyd.quantity import duration, size, written_size
from steadyd.tree import DEFAULT_LIMITS, TreeLimits
from steadyd.webhook import read_webhook

Source = Literal["owner", "version", "host"]

MEMORY_BYTES_MIN = 48 << 20
"""A hello Bun under load that is the first to read Bun's binary, and so is charged for it, answers 16 clients for 5 s
within 0.05 s each. In 32 MiB that takes up to 2 s, in 24 and 16 hardly one answer comes. If others did, 10 do."""
CPUS_MIN = 0.05
PROCESSES_MIN = 16
"""Threads count, and Bun alone has a dozen."""
DISK_BYTES_MIN = 1 << 20
IDLE_SECONDS_MIN = 1.0
AMOUNT_MAX = 1 << 50
"""Of anything; what JSON and SQLite carry exactly."""
HEALTH_PATH = re.compile(r"/[!-~]{0,1000}")
"""Of a health request, query included: what may stand in a request line (RFC 9112, 3.2)."""
NONE = Limits(0, 0.0, 0, 0)


@dataclass(frozen=True, slots=True)
class Policy:
    """What this host's operator gives and allows; 0 is no limit."""

    limits: Limits = Limits()
    guest_limits: Limits = Limits(memory_bytes=128 << 20, disk_bytes=100 << 20)
    """What a guest's app gets, and no more."""
    ceilings: Limits = NONE
    idle_seconds: float = 15 * 60.0
    guest_apps: int = 5
    """Apps that a guest has at the same time, deleted ones left out."""
    tree: TreeLimits = DEFAULT_LIMITS
    """How much one version may ship."""

    def defaults(self, owner: Kind) -> Settings:
        """What an app has of which nobody said anything."""
        limits = self.guest_limits if owner is Kind.GUEST else self.limits
        return Settings(limits, self.idle_seconds)

    def ceiling(self, owner: Kind) -> Limits:
        """The most that an app of such an owner may have."""
        return _lower(self.guest_limits, self.ceilings) if owner is Kind.GUEST else self.ceilings

    def settings(self, chosen: Choices, shipped: Choices, owner: Kind) -> Settings:
        """What is true. A choice above a ceiling (which was lowered since) counts as the ceiling."""
        default = self.defaults(owner)
        said = {**_flat(default), **_said(shipped), **_said(chosen)}
        said["trial"] = _tried(shipped, chosen)
        limits = Limits(*(said.pop(name) for name in LIMITS))
        return Settings(_lower(limits, self.ceiling(owner)), **said)

    def check(self, choices: Choices, owner: Kind) -> Choices:
        """Return `choices` if the host allows them.

        Raises:
            SteadyError: `invalid` with `details` {field, ceiling}.
        """
        ceiling = self.ceiling(owner)
        for name, value in _said(choices).items():
            most = getattr(ceiling, name, 0)
            if most and (value > most or value == 0):
                raise _too_much(NAMES[name], value, most, owner)
        return choices

    def lowered(self, chosen: Choices, shipped: Choices, owner: Kind) -> list[str]:
        """What was said and counts as less here, each with both amounts."""
        said, most = {**_said(shipped), **_said(chosen)}, self.settings(chosen, shipped, owner).limits
        return [
            f"“{NAMES[name]}” is {_written(NAMES[name], getattr(most, name))} here, not "
            f"{_written(NAMES[name], said[name])}"
            for name in LIMITS
            if name in said and said[name] != getattr(most, name)
        ]

    def check_itself(self) -> Policy:
        """Return it if its defaults lie below its ceilings.

        Raises:
            SteadyError: `invalid`, naming the option.
        """
        for name in LIMITS:
            value, most = getattr(self.limits, name), getattr(self.ceilings, name)
            if most and (value > most or value == 0):
                option = NAMES[name]
                said = f"--{option} {_written(option, value)} is more than --{option}-max {_written(option, most)}"
                raise SteadyError("invalid", said)
        return self


def sources(chosen: Choices, shipped: Choices) -> dict[str, Source]:
    """Setting → who said it."""
    owner, version = _said(chosen), _said(shipped)
    return {name: "owner" if of in owner else "version" if of in version else "host" for of, name in NAMES.items()}


def change(chosen: Choices, wishes: Mapping[str, object]) -> Choices:
    """`chosen` with some settings changed; None takes a choice back.

    Raises:
        SteadyError: with `details.field`, `invalid` for an unknown setting or a bad value.
    """
    changes: dict[str, Any] = {}
    for said, value in wishes.items():
        name = ALSO.get(said, said)
        if name not in READERS:
            known = ", ".join(READERS)
            shown = said[:60].encode("utf-8", "replace").decode()
            raise SteadyError("invalid", f"There is no setting “{shown}”. There are: {known}.", {"field": shown})
        found = None if value is None else read(name, value)
        changes[FIELDS[name]] = _merged(chosen.trial, found) if name == "trial" else found
    return replace(chosen, **changes)


def read(name: str, value: object) -> Any:
    """One setting's value as people write it, such as `memory`, `256MiB`.

    Raises:
        SteadyError: `invalid` with `details.field`.
    """
    try:
        return READERS[name](value)
    except SteadyError as error:
        place = f"{name}.{inner}" if (inner := error.details.get("field")) else name
        raise SteadyError("invalid", f"“{place}”: {error.message}.", {"field": place}) from None


def to_json(choices: Choices) -> dict[str, Any]:
    """What was said, as it is kept in a record."""
    return _said(choices)


def from_json(kept: Mapping[str, Any]) -> Choices:
    """The inverse of `to_json`."""
    kinds: Mapping[str, type[StrEnum]] = {"network": Network, "visibility": Visibility, "durability": Durability}
    return Choices(**{**kept, **{name: kind(kept[name]) for name, kind in kinds.items() if name in kept}})


# Private


def _bytes(least: int) -> Callable[[object], int]:
    def read_bytes(value: object) -> int:
        return int(_within(size(value), least, AMOUNT_MAX, written_size))

    return read_bytes


def _cpus(value: object) -> float:
    try:
        cpus = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        cpus = math.nan
    if not math.isfinite(cpus):
        raise SteadyError("invalid", f"“{str(value)[:40]}” is not a number of processors; write 0.5 or 2")
    return float(_within(cpus, CPUS_MIN, AMOUNT_MAX, lambda number: f"{number:g}"))


def _processes(value: object) -> int:
    text = "" if isinstance(value, bool) else str(value).strip()
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise SteadyError("invalid", f"“{str(value)[:40]}” is not a number of processes; write 64")
    return int(_within(int(text), PROCESSES_MIN, AMOUNT_MAX, str))


def _idle(value: object) -> float:
    return float(_within(duration(value), IDLE_SECONDS_MIN, AMOUNT_MAX, lambda seconds: f"{seconds:g} s"))


def _network(value: object) -> Network:
    try:
        return Network(str(value))
    except ValueError:
        known = ", ".join(Network)
        raise SteadyError("invalid", f"“{str(value)[:40]}” is none of {known}") from None


def _notify(value: object) -> str:
    text = str(value)
    if text:
        read_webhook(text)
    return text


def _visibility(value: object) -> Visibility:
    return Visibility(_one_of(Visibility)(value))


def _durability(value: object) -> Durability:
    return Durability(_one_of(Durability)(value))


def _trial(value: object) -> dict[str, Any]:
    """The fields that are named; None takes one back."""
    if not isinstance(value, Mapping):
        raise SteadyError("invalid", f"it is an object of {', '.join(TRIAL_READERS)}")
    found = {}
    for name, inner in value.items():
        if name not in TRIAL_READERS:
            known = ", ".join(TRIAL_READERS)
            raise SteadyError("invalid", f"there is no such field. There are: {known}", {"field": str(name)[:60]})
        try:
            found[name] = None if inner is None else TRIAL_READERS[name](inner)
        except SteadyError as error:
            raise SteadyError("invalid", error.message, {"field": name}) from None
    return found


def _one_of(kind: type[StrEnum]) -> Callable[[object], str]:
    def read_one(value: object) -> str:
        if value not in set(kind):
            raise SteadyError("invalid", f"“{str(value)[:40]}” is none of {', '.join(kind)}")
        return str(value)

    return read_one


def _health(value: object) -> str | bool:
    if value is False:
        return False
    text = value if isinstance(value, str) else ""
    if not HEALTH_PATH.fullmatch(text):
        raise SteadyError("invalid", "it is a path such as “/health”, or false where listening is enough")
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise SteadyError("invalid", f"“{str(value)[:40]}” is neither true nor false")
    return value


def _within(value: float, least: float, most: float, written: Callable[[Any], str]) -> float:
    """0 is off, whatever the least is."""
    if value and not least <= value <= most:
        raise SteadyError("invalid", f"it must be from {written(least)} to {written(most)}")
    return value


TRIAL_READERS: Mapping[str, Callable[[object], str | bool]] = {
    "network": _one_of(TrialNetwork),
    "health": _health,
    "mode": _one_of(TrialMode),
    "test": _flag,
}
READERS: Mapping[str, Callable[[object], Any]] = {
    "memory": _bytes(MEMORY_BYTES_MIN),
    "cpus": _cpus,
    "processes": _processes,
    "disk": _bytes(DISK_BYTES_MIN),
    "idle": _idle,
    "network": _network,
    "notify": _notify,
    "trial": _trial,
    "visibility": _visibility,
    "auto_rollback": _flag,
    "durability": _durability,
}
"""Setting, as people call it → its reader."""
FIELDS: Mapping[str, str] = dict(zip(READERS, (field.name for field in fields(Choices)), strict=True))
NAMES: Mapping[str, str] = {of: name for name, of in FIELDS.items()}
ALSO: Mapping[str, str] = {of: name for of, name in NAMES.items() if of != name}
"""Names with their unit, as answers have them, are understood too."""
LIMITS = tuple(field.name for field in fields(Limits))


def _said(choices: Choices) -> dict[str, Any]:
    return {name: value for name, value in asdict(choices).items() if value is not None}


def _flat(settings: Settings) -> dict[str, Any]:
    return {**asdict(settings.limits), "idle_seconds": settings.idle_seconds, "network": settings.network,
            "notify": settings.notify, "trial": settings.trial, "visibility": settings.visibility,
            "auto_rollback": settings.auto_rollback, "durability": settings.durability}  # fmt: skip


def _merged(
    before: Mapping[str, str | bool] | None, wishes: Mapping[str, Any] | None
) -> Mapping[str, str | bool] | None:
    """Fields said before and now; one that is None now is taken back, and so are all without `wishes`."""
    if wishes is None:
        return None
    return {name: value for name, value in {**(before or {}), **wishes}.items() if value is not None} or None


def _tried(*said: Choices) -> Trial:
    """Later ones go before earlier ones, field by field."""
    fields: dict[str, Any] = {}
    for choices in said:
        fields |= choices.trial or {}
    if fields.get("health") is False:
        fields["health"] = ""
    for name, kind in (("network", TrialNetwork), ("mode", TrialMode)):
        if name in fields:
            fields[name] = kind(fields[name])
    return Trial(**fields)


def _lower(wanted: Limits, ceiling: Limits) -> Limits:
    """The lower of each; 0 is the highest of all."""
    pairs = ((getattr(wanted, name), getattr(ceiling, name)) for name in LIMITS)
    return Limits(*(most if most and (not value or value > most) else value for value, most in pairs))


def _written(name: str, value: float) -> str:
    return "no limit" if not value else written_size(int(value)) if name in ("memory", "disk") else f"{value:g}"


def _too_much(name: str, value: float, most: float, owner: Kind) -> SteadyError:
    whose = "a guest's app" if owner is Kind.GUEST else "an app on this host"
    said = f"“{name}”: {_written(name, value)} is more than {whose} may have, which is {_written(name, most)}."
    return SteadyError("invalid", said, {"field": name, "ceiling": most})
