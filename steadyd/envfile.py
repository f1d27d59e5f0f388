"""A `.env` file as people write it: `export`, quotes, values of several lines, comments. No I/O.

A `$` is a `$`: nothing is filled in, because what it would be filled with lies on another machine.
"""

from __future__ import annotations

import io

from dotenv.parser import parse_stream

from steadyd.errors import SteadyError


def parse(text: str) -> dict[str, str]:
    """Name → value, the last one where a name stands twice.

    Raises:
        SteadyError: `invalid` with the number of the line that is none. What stands there is never repeated.
    """
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text.removeprefix("\ufeff"))):
        said = binding.original.string
        line = binding.original.line + said[: len(said) - len(said.lstrip())].count("\n")
        if binding.error:
            raise SteadyError("invalid", f"Line {line} is not NAME=VALUE, or a quote of it never ends.", {"line": line})
        if binding.key is None:
            continue
        if binding.value is None:
            raise SteadyError("invalid", f"Line {line} has a name and no value. Write NAME=VALUE.", {"line": line})
        values[binding.key] = binding.value
    return values
