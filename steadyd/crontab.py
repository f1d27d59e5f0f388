"""What is said of crons, in a version's own file or by the API: read, checked, named. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from steadyd.errors import SteadyError
from steadyd.model import Cron
from steadyd.schedule import parse

CRONS_MAX = 50
"""In a version's file, and for one app, with those of its file, when its owner adds one."""
PATH_CHARACTERS_MAX = 1_000
METHODS = ("POST", "GET")
SCHEDULED = "scheduled"
"""The export that is called where neither a path nor an export is named."""
KEYS = ("id", "schedule", "timezone", "path", "export", "method")

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
_PATH = re.compile(r"/[!-~]*\Z")
_EXPORT = re.compile(r"[A-Za-z_$][\w$]{0,99}\Z", re.ASCII)


def read_cron(said: object, cron_id: str = "") -> Cron:
    """`{schedule, path | export}` and, where given, `id`, `timezone`, `method`; `cron_id` is the id if none is.

    Raises:
        SteadyError: `invalid`, with `details` {field}.
    """
    if not isinstance(said, dict):
        raise _invalid("crons", "a cron is an object such as {“schedule”: “@hourly”, “path”: “/tick”}")
    texts = {key: _text(said, key) for key in KEYS}
    unknown = [str(key) for key in said if key not in KEYS]
    if unknown:
        raise _invalid(unknown[0][:60], f"a cron has no “{unknown[0][:60]}”; it has {', '.join(KEYS)}")
    schedule = parse(texts["schedule"] or "", texts["timezone"] or "UTC")
    path, export = texts["path"], texts["export"]
    if path is not None and export is not None:
        raise _invalid("export", "a cron has a path or an export, not both")
    cron = Cron(
        id=_id(texts["id"] or cron_id or slug(path or export or SCHEDULED)),
        schedule=schedule.text,
        timezone=schedule.timezone,
        path=_path(path) if path is not None else "",
        export="" if path is not None else _export(SCHEDULED if export is None else export),
        method=(texts["method"] or METHODS[0]).upper(),
    )
    if cron.method not in METHODS or (cron.export and texts["method"] is not None):
        raise _invalid("method", f"the method of a path is one of {', '.join(METHODS)}; an export has none")
    return cron


def read_crons(said: object) -> tuple[Cron, ...]:
    """A whole list of them. Who has no id is called after its path or export, the second of a name `-2` and so on.

    Raises:
        SteadyError: `invalid`, saying which of them, with `details` {field}.
    """
    if not isinstance(said, list):
        raise _invalid("crons", "“crons” must be a list")
    if len(said) > CRONS_MAX:
        raise _invalid("crons", f"an app has at most {CRONS_MAX} crons, and these are {len(said)}")
    found: dict[str, Cron] = {}
    for number, item in enumerate(said, 1):
        given = isinstance(item, dict) and item.get("id") is not None
        try:
            cron = read_cron(item)
            if given and cron.id in found:
                raise _invalid("id", f"there are two of the id “{cron.id}”")
        except SteadyError as error:
            raise SteadyError(error.code, f"cron {number}: {error.message}", error.details) from None
        cron = cron if given else _renamed(cron, _free(cron.id, found))
        found[cron.id] = cron
    return tuple(found.values())


def slug(text: str) -> str:
    """An id made of a path or an export's name."""
    made = re.sub(r"[^a-z0-9]+", "-", text.lower())[:36].strip("-")
    return made or "root"


# Private


def _renamed(cron: Cron, cron_id: str) -> Cron:
    return Cron(cron_id, cron.schedule, cron.timezone, cron.path, cron.export, cron.method)


def _free(cron_id: str, taken: Mapping[str, Cron]) -> str:
    names = (cron_id if number == 1 else f"{cron_id}-{number}" for number in range(1, CRONS_MAX + 2))
    return next(name for name in names if name not in taken)


def _text(said: Mapping[str, object], key: str) -> str | None:
    """A text, or None where it is absent."""
    value = said.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _invalid(key, f"“{key}” of a cron must be a text")


def _id(text: str) -> str:
    if not _ID.match(text):
        said = f"“{text[:60]}” cannot be a cron's id: 1 to 40 lower-case letters, digits and hyphens within"
        raise _invalid("id", said)
    return text


def _path(text: str) -> str:
    if not _PATH.match(text) or len(text) > PATH_CHARACTERS_MAX or "#" in text:
        said = f"“{text[:60]}” is not a path: it begins with “/” and has no space and no “#”"
        raise _invalid("path", said)
    return text


def _export(text: str) -> str:
    if not _EXPORT.match(text):
        raise _invalid("export", f"“{text[:60]}” cannot be the name of an exported function")
    return text


def _invalid(field: str, message: str) -> SteadyError:
    return SteadyError("invalid", message, {"field": field})
