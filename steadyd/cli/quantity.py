"""Option values that carry a unit: durations and sizes, and switches that say on or off. Given to click as types."""

from __future__ import annotations

import click

from steadyd import quantity
from steadyd.errors import SteadyError

SWITCH = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}


def duration(value: object) -> float:
    """`90`, `500ms`, `30s`, `15min`, `15m`, `2h`, `1d`, as seconds; `never` is 0.

    Raises:
        click.BadParameter: for anything else.
    """
    try:
        return quantity.duration(value)
    except SteadyError as error:
        raise click.BadParameter(error.message) from None


def size(value: object) -> int:
    """`1048576`, `512K`, `100MiB`, `100MB`, as bytes; the units are powers of 1024.

    Raises:
        click.BadParameter: for anything else.
    """
    try:
        return quantity.size(value)
    except SteadyError as error:
        raise click.BadParameter(error.message) from None


def switch(value: object) -> bool:
    """`on` or `off`; a TOML file may also say true or false.

    Raises:
        click.BadParameter: for anything else.
    """
    known = SWITCH.get(str(value).strip().lower())
    if known is None:
        raise click.BadParameter(f"“{value}” is neither on nor off")
    return known
