"""Option values that carry a unit: durations and sizes, and switches that say on or off. Given to click as types."""

from __future__ import annotations

import re

import click

SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgt])(?:i?b)?|b)?")
SWITCH = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}


def duration(value: object) -> float:
    """`90`, `500ms`, `30s`, `15min`, `15m`, `2h`, `1d`, as seconds; `never` is 0.

    Raises:
        click.BadParameter: for anything else.
    """
    text = str(value).strip().lower()
    match = DURATION.fullmatch("0" if text == "never" else text)
    if not match or match[2] not in SECONDS:
        raise click.BadParameter(f"“{value}” is not a duration; write 30s, 15min or 2h")
    return float(match[1]) * SECONDS[match[2]]


def size(value: object) -> int:
    """`1048576`, `512K`, `100MiB`, `100MB`, as bytes; the units are powers of 1024.

    Raises:
        click.BadParameter: for anything else.
    """
    match = SIZE.fullmatch(str(value).strip().lower())
    if not match:
        raise click.BadParameter(f"“{value}” is not a size; write 512K, 100MiB or 1G")
    return int(float(match[1]) * BYTES[match[2] or ""])


def switch(value: object) -> bool:
    """`on` or `off`; a TOML file may also say true or false.

    Raises:
        click.BadParameter: for anything else.
    """
    known = SWITCH.get(str(value).strip().lower())
    if known is None:
        raise click.BadParameter(f"“{value}” is neither on nor off")
    return known
