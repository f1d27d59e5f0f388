"""The TOML config file: which one is read, and what it says for a command.

Keys are option names without the dashes (`listen`, `app-domain`). A key at the top is for every command that has such
an option; a table named like a command (`[serve]`, `[token.create]`) is for that command only and wins.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError

CONFIG_BYTES_MAX = 1 << 20
HOST_CONFIG = Path("/etc/steadyd.toml")
"""Of a daemon that root starts."""

Table = Mapping[str, Any]
Known = Mapping[str, Collection[str]]
"""A command as one types it (`serve`, `token create`) to the names of its options."""


def config_folder(environ: Mapping[str, str]) -> Path:
    """Where a person's own settings and tokens lie."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return Path(home) / "steadyd"


def config_file(environ: Mapping[str, str], is_root: bool, host: Path = HOST_CONFIG) -> Path:
    """The file that is read where none is named: root's is the host's, if there is one."""
    return host if is_root and host.is_file() else config_folder(environ) / "config.toml"


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


def defaults_for(config: Table, command: str, known: Known) -> dict[str, Any]:
    """What `config` says for `command`, by option name.

    Raises:
        SteadyError: `invalid` for a key or table that nothing reads, with what could have been meant.
    """
    options = {name: {_spelled(option) for option in names} for name, names in known.items()}
    everything = set().union(*options.values())
    shared: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for table, key, value in _settings(config, options):
        taken = options[table] if table else everything
        if key not in taken:
            raise _unknown(f"{key} in [{table.replace(' ', '.')}]" if table else key, key, taken)
        if table == command:
            own[key] = value
        elif not table and key in options.get(command, ()):
            shared[key] = value
    return shared | own


# Private


def _settings(config: Table, options: Known, table: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every key as table, name and value; a table has the name of a command, or is the first word of some."""
    for key, value in config.items():
        if not isinstance(value, dict):
            if table and table not in options:
                raise _unknown(f"{key} in [{table}]", key, [])
            yield table, _spelled(key), value
            continue
        inner = f"{table} {key}".strip()
        if not any(name == inner or name.startswith(inner + " ") for name in options):
            raise _unknown(f"[{inner.replace(' ', '.')}]", inner, options)
        yield from _settings(value, options, inner)


def _spelled(key: str) -> str:
    return key.replace("_", "-")


def _unknown(shown: str, key: str, choices: Iterable[str]) -> SteadyError:
    near = difflib.get_close_matches(_spelled(key), list(choices), n=1)
    hint = f"; did you mean {near[0].replace(' ', '.')}?" if near else f"; it takes {', '.join(sorted(choices))}"
    return SteadyError("invalid", f"nothing reads {shown}{hint}")
