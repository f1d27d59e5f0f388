"""The TOML config file: which one is read, and what it says for a command.

Keys are option names without the dashes (`listen`, `app-domain`). A key at the top is for every command that has such
an option; a table named like a command (`[serve]`) is for that command only and wins.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError

CONFIG_BYTES_MAX = 1 << 20

Table = Mapping[str, Any]


def config_folder(environ: Mapping[str, str]) -> Path:
    """Where a person's own settings and tokens lie."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return Path(home) / "steadyd"


def read_config(path: Path, required: bool) -> Table:
    """The file at `path` as nested tables; {} where there is none and `required` is false.

    Raises:
        SteadyError: `invalid` if it cannot be read or is not TOML.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        if not required and isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            return {}
        raise SteadyError("invalid", f"cannot read the config file {path}: {error.strerror}") from None
    if len(raw) > CONFIG_BYTES_MAX:
        raise SteadyError("invalid", f"the config file {path} is larger than {CONFIG_BYTES_MAX >> 20} MiB")
    try:
        return tomllib.loads(raw.decode())
    except ValueError as error:
        raise SteadyError("invalid", f"the config file {path} is not TOML: {error}") from None


def defaults_for(config: Table, command: str, known: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """What `config` says for `command`, by option name. `known` is command → its options.

    Raises:
        SteadyError: `invalid` for a key or table that nothing reads, with the likeliest spelling.
    """
    options = {name: {_spelled(option) for option in names} for name, names in known.items()}
    everything = set().union(*options.values())
    shared: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            if key not in options:
                raise _unknown(f"[{key}]", key, options)
            for inner, inner_value in value.items():
                if _spelled(inner) not in options[key]:
                    raise _unknown(f"{inner} in [{key}]", inner, options[key])
                if key == command:
                    own[_spelled(inner)] = inner_value
        elif _spelled(key) not in everything:
            raise _unknown(key, key, everything)
        elif _spelled(key) in options.get(command, ()):
            shared[_spelled(key)] = value
    return shared | own


# Private


def _spelled(key: str) -> str:
    return key.replace("_", "-")


def _unknown(shown: str, key: str, choices: Iterable[str]) -> SteadyError:
    near = difflib.get_close_matches(_spelled(key), list(choices), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return SteadyError("invalid", f"nothing reads {shown} in the config file{hint}")
