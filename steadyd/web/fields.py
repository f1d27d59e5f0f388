"""The fields of the settings form: what each says, what is true, who said so, and how far it may go. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import App, Choices, Settings
from steadyd.quantity import written_duration, written_size
from steadyd.settings import FIELDS, Policy, Source

TRIAL = "trial."
"""How names of fields begin that are about a part of the trial."""
FLAG = {"on": "yes", "off": "no"}


@dataclass(frozen=True, slots=True)
class Aspect:
    """What a setting is about, in one sentence. `choices` are its values, each with what it means; {} for free text."""

    label: str
    sentence: str
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Field:
    """One setting on the page. `typed` is the owner's own choice, or what was sent and refused; `now` is what is true,
    `otherwise` what would be without the owner's choice; `ceiling` is the most, "" for no limit."""

    name: str
    aspect: Aspect
    typed: str
    now: str
    otherwise: str
    source: Source
    ceiling: str = ""
    problem: str = ""


ASPECTS: Mapping[str, Aspect] = {
    "memory": Aspect("Memory", "What one instance may hold. One that wants more is ended, and its death card says so."),
    "cpus": Aspect("Processors", "How much of the processors it may use. Beyond that it is slowed down, never ended."),
    "processes": Aspect("Processes", "Processes and threads at once. Bun alone needs a dozen."),
    "disk": Aspect("Disk", "What its folder may hold. Beyond that writes fail, and reads go on."),
    "idle": Aspect("Sleeps after", "After so long without a request it sleeps, and costs nothing. Or write never."),
    "network": Aspect("Network", "What it reaches.", {
        "internet": "the internet", "private": "your other apps, by name", "none": "nothing",
    }),
    "trial.mode": Aspect("Trial", "How a new version is tried before it goes live.", {
        "full": "on a copy of the data, with a request", "start": "only a start, without data", "off": "not at all",
    }),
    "trial.health": Aspect("Asked in a trial", "This path must be answered below 500. “off”: listening is enough."),
    "trial.network": Aspect("Network in a trial", "What a candidate reaches while it is tried.", {
        "auto": "nothing, and what the app does if it fails for that", "off": "nothing", "app": "what the app does",
    }),
    "trial.test": Aspect("Tests in a trial", "Whether the app's own tests run too, and must pass.", FLAG),
    "auto_rollback": Aspect(
        "Goes back by itself", "A version that fails right after it went live is left for the one before it.", FLAG
    ),
    "durability": Aspect("Answers leave", "What must be written before an answer that tells of it may leave.", {
        "host": "once this host has it", "replica": "once the backup has it too",
    }),
    "visibility": Aspect("Source seen by", "Who may read the code and its versions; never who may open the app.", {
        "private-source": "you alone", "unlisted": "whoever knows its name", "public": "everybody, and it is listed",
    }),
    "notify": Aspect(
        "Notices go to", "An https address that hears when it does not start, dies again and again, or meets a limit."
    ),
}  # fmt: skip
"""Setting, or `trial.` and a part of it → what it is about, in the order of the page."""
LIMITS = ("memory", "cpus", "processes", "disk")


def fields(app: App, policy: Policy, typed: Mapping[str, str], error: SteadyError | None = None) -> dict[str, Field]:
    """The form's fields by name. `typed` is what was sent and refused, `error` why."""
    found = {}
    for name, aspect in ASPECTS.items():
        without = policy.settings(_without(app.chosen, name), app.shipped, app.owner_kind)
        refused = error is not None and error.details.get("field") == name
        found[name] = Field(
            name, aspect, typed.get(name, own(app, name)), _written(name, _of(app.settings, name)),
            _written(name, _of(without, name)), _source(app, name), _ceiling(app, policy, name),
            error.message if error is not None and refused else "",
        )  # fmt: skip
    return found


def own(app: App, name: str) -> str:
    """The owner's own choice as people write it; "" if there is none."""
    chosen = _chosen(app.chosen, name)
    if chosen is None:
        return ""
    return _written(name, chosen) if chosen or name not in LIMITS else "0"


def wishes(app: App, typed: Mapping[str, str]) -> dict[str, Any]:
    """What differs from what the owner has chosen, as `steadyd.settings.change` takes it; an empty text takes a choice
    back."""
    found: dict[str, Any] = {}
    for name, text in typed.items():
        if name not in ASPECTS or text == own(app, name):
            continue
        value = _value(name, text)
        if name.startswith(TRIAL):
            found.setdefault("trial", {})[name.removeprefix(TRIAL)] = value
        else:
            found[name] = value
    return found


# Private


def _value(name: str, text: str) -> str | bool | None:
    if not text:
        return None
    if ASPECTS[name].choices is FLAG:
        return {"on": True, "off": False}.get(text, text)
    return False if name == "trial.health" and text.lower() == "off" else text


def _chosen(choices: Choices, name: str) -> Any:
    if name.startswith(TRIAL):
        return (choices.trial or {}).get(name.removeprefix(TRIAL))
    return getattr(choices, FIELDS[name])


def _without(choices: Choices, name: str) -> Choices:
    if name.startswith(TRIAL):
        rest = {part: said for part, said in (choices.trial or {}).items() if part != name.removeprefix(TRIAL)}
        return replace(choices, trial=rest or None)
    changes: dict[str, Any] = {FIELDS[name]: None}
    return replace(choices, **changes)


def _of(settings: Settings, name: str) -> Any:
    if name.startswith(TRIAL):
        return getattr(settings.trial, name.removeprefix(TRIAL))
    of = FIELDS[name]
    return getattr(settings.limits if name in LIMITS else settings, of)


def _source(app: App, name: str) -> Source:
    if _chosen(app.chosen, name) is not None:
        return "owner"
    return "host" if _chosen(app.shipped, name) is None else "version"


def _ceiling(app: App, policy: Policy, name: str) -> str:
    most = getattr(policy.ceiling(app.owner_kind), FIELDS[name]) if name in LIMITS else 0
    return _written(name, most) if most else ""


def _written(name: str, value: Any) -> str:
    if name in ("memory", "disk"):
        return written_size(value) if value else "no limit"
    if name == "idle":
        return written_duration(value)
    if name in ("cpus", "processes"):
        return f"{value:g}" if value else "no limit"
    if ASPECTS[name].choices is FLAG:
        return "on" if value else "off"
    return str(value) if value or name == "notify" else "off"
