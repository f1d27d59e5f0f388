"""An app's variables: which names they may have, which are secret, and which of them an instance gets. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from steadyd.errors import SteadyError

Context = Literal["production", "trial", "preview"]
PRODUCTION: Context = "production"
CONTEXTS: tuple[Context, ...] = ("production", "trial", "preview")
"""What lacks a value of its own in another context has production's there."""

VALUE_BYTES_MAX = 64 << 10
NAMES_MAX = 1_000
NAME_CHARACTERS_MAX = 128
ENVIRON_BYTES_MAX = 128 << 10
"""Of all names and values that one instance gets, as `NAME=value` with a NUL each."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET = re.compile(r"SECRET|KEY|TOKEN|PRIVATE|PASSWORD", re.IGNORECASE)
PLAIN_PREFIXES = ("PUBLIC_", "BUN_PUBLIC_")
RESERVED: Mapping[str, str] = {
    "STEADY_*": "steadyd tells the app about itself under these names",
    "PORT": "steadyd chooses where the app listens",
    "BUN_*": "it configures Bun, which starts the app for steadyd (BUN_PUBLIC_… is free)",
    "NODE_OPTIONS": "it adds options to Bun's command line",
    "NODE_CHANNEL_FD": "Bun would take a file of steadyd's for a channel to its parent",
    "NODE_UNIQUE_ID": "Bun would take the app for a worker of a cluster",
    "LD_*": "it makes the system load other code into every program",
    "DYLD_*": "it makes the system load other code into every program",
    "GLIBC_TUNABLES": "it changes how the system runs every program",
    "GCONV_PATH": "it makes the system load other code into every program",
    "__proto__": "in JavaScript it names no variable",
}
"""A name, or the beginning of names before `*` → why it cannot be set."""
READ_AT_START = re.compile(
    r"HOME|PATH|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|CI|LANG|LANGUAGE|TZDIR|(NODE|SSL|LC|UV|MALLOC|MIMALLOC|JSC|WEBKIT)_\w+"
)
"""Names that Bun or the system reads while it starts and never again (HOME, PATH and colours tried on Bun 1.4, which
reads TZ and HTTP_PROXY whenever it needs them)."""
FREE_PREFIX = "BUN_PUBLIC_"
"""What Bun's bundler shows to browsers, by its documentation: https://bun.sh/docs/bundler/html."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value to store. `secret` None leaves that to what was said before, or else to the name."""

    text: str = field(repr=False)
    secret: bool | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """What may be told of a stored one: never its value."""

    secret: bool
    updated_at: float
    contexts: tuple[Context, ...]
    """Where it has a value of its own."""


Place = tuple[Context, str]
"""A context and a name."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an app's variables: a value is set, `None` removes one, and in the contexts of `whole` nothing
    else stays."""

    values: Mapping[Place, Value | None]
    whole: frozenset[Context] = frozenset()

    @property
    def contexts(self) -> frozenset[Context]:
        """Whose values it is about."""
        return self.whole | {context for context, _ in self.values}

    def removes(self, place: Place) -> bool:
        return self.values.get(place) is None and (place in self.values or place[0] in self.whole)


UNCHANGED = Change({})


def change_in(context: Context, values: Mapping[str, Value | None], whole: bool = False) -> Change:
    """A change in one context."""
    places = {(context, name): value for name, value in values.items()}
    return Change(places, frozenset({context}) if whole else frozenset())


def is_secret(name: str) -> bool:
    """Whether a name says by itself that its value is a secret."""
    return not name.upper().startswith(PLAIN_PREFIXES) and SECRET.search(name) is not None


def why_reserved(name: str) -> str:
    """Why a name cannot be set; "" if it can."""
    if name.startswith(FREE_PREFIX):
        return ""
    for pattern, reason in RESERVED.items():
        if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
            return reason
    return ""


def is_read_at_start(name: str) -> bool:
    """Whether a variable of that name only counts if the program was started with it."""
    return READ_AT_START.fullmatch(name) is not None


def check_name(name: str) -> str:
    """`name`, if an app may have a variable of that name.

    Raises:
        SteadyError: `invalid`, naming it in `details.name`.
    """
    shown = name[:NAME_CHARACTERS_MAX].encode("utf-8", "replace").decode()
    if not NAME.fullmatch(name) or len(name) > NAME_CHARACTERS_MAX:
        rule = f"Letters, digits and _, no digit first, at most {NAME_CHARACTERS_MAX} characters."
        raise SteadyError("invalid", f"“{shown}” cannot be a variable's name. {rule}", {"name": shown})
    if reason := why_reserved(name):
        raise SteadyError("invalid", f"“{name}” cannot be set: {reason}. Choose another name.", {"name": name})
    return name


def check_text(name: str, text: str, bytes_max: int = VALUE_BYTES_MAX) -> str:
    """`text`, if a program can have it as the value of a variable; `bytes_max` 0 is no limit.

    Raises:
        SteadyError: `invalid` or `too_large`, naming the variable and never its value.
    """
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise SteadyError("invalid", f"The value of “{name}” is not valid Unicode.", {"name": name}) from None
    if "\0" in text:
        raise SteadyError("invalid", f"The value of “{name}” has a NUL character; no variable can.", {"name": name})
    if 0 < bytes_max < length:
        said = f"The value of “{name}” has {length:,} bytes; {bytes_max:,} are allowed."
        raise SteadyError("too_large", said, {"name": name, "bytes": length, "limit": bytes_max})
    return text


def check_sizes(sizes: Mapping[Place, int]) -> None:
    """Whether an app may have all these together; each with the bytes of its value.

    Raises:
        SteadyError: `too_large`.
    """
    names = len({name for _, name in sizes})
    if names > NAMES_MAX:
        said = f"An app has at most {NAMES_MAX:,} variables; these would be {names:,}."
        raise SteadyError("too_large", said, {"names": names, "limit": NAMES_MAX})
    for context in CONTEXTS:
        total = sum(len(name) + size + 2 for name, size in for_context(sizes, context).items())
        if total > ENVIRON_BYTES_MAX:
            said = f"All variables together ({context}) have {total:,} bytes; {ENVIRON_BYTES_MAX:,} are allowed."
            raise SteadyError("too_large", f"{said} Put what is large into a file.", {"limit": ENVIRON_BYTES_MAX})


def for_context(stored: Mapping[Place, Any], context: Context) -> dict[str, Any]:
    """What an instance of `context` gets of what is stored: production's, and over it the context's own."""
    found = {name: value for (where, name), value in stored.items() if where == PRODUCTION}
    return found | {name: value for (where, name), value in stored.items() if where == context}


def shown(stored: Iterable[tuple[Place, bool, float]], only: Context | None = None) -> dict[str, Variable]:
    """What may be told of stored values (each with `secret` and `updated_at`), by name in order; with `only`, of those
    that have a value of their own there. A name is secret if any of its values is."""
    found: dict[str, Variable] = {}
    for (context, name), secret, updated_at in sorted(stored, key=lambda one: CONTEXTS.index(one[0][0])):
        before = found.get(name)
        if before is None:
            found[name] = Variable(secret, updated_at, (context,))
        else:
            newest = max(before.updated_at, updated_at)
            found[name] = Variable(before.secret or secret, newest, (*before.contexts, context))
    return {name: found[name] for name in sorted(found) if only is None or only in found[name].contexts}
