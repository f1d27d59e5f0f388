"""What the documents leave out: every command, option, configuration key, dependency and version stands in one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields

import click

import steadyd
from steadyd.config import Config
from tests.test_house import ROOT, declared_dependencies, sources


def undocumented(root: click.Command, config_keys: Iterable[str], text: str) -> list[str]:
    """Every command, every option and every configuration key stands in README or SPECIFICATION."""
    complaints = []
    for name, command in commands(root):
        if name and not re.search(rf"`steadyd {name}\b|`{name}\b", text):
            complaints.append(f"command {name}")
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden and "--help" not in parameter.opts:
                option = max(parameter.opts, key=len)
                complaints += [] if re.search(rf"`[^`\n]*{option}\b", text) else [f"option {name} {option}"]
    for key in config_keys:
        option = "--" + key.replace("_", "-")
        if not re.search(rf"`Config\.{key}`|`{option}\b", text):
            complaints.append(f"key {key}")
    return complaints


def commands(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below `command` with its full name; hidden ones are left out."""
    yield name, command
    if isinstance(command, click.Group):
        for child in command.commands.values():
            if not child.hidden:
                yield from commands(child, f"{name} {child.name}".strip())


def documented() -> str:
    return (ROOT / "README.md").read_text() + (ROOT / "SPECIFICATION.md").read_text()


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert [name for name in declared_dependencies() if f"| `{name}` |" not in text] == []


def unnamed(modules: Iterable[str], rooms: str) -> list[str]:
    """Every module's name stands in the list of rooms; those of the command line are its commands."""
    words = set(re.findall(r"\w+", rooms))
    return [name for name in modules if ".cli" not in name and name.rpartition(".")[2] not in words]


def test_every_module_is_named_among_the_rooms() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = text[text.index("## The rooms") : text.index("Imports go one way")]
    modules = [source.module for source in sources("steadyd") if not source.module.endswith("__main__")]
    assert unnamed(modules, rooms) == []
    assert unnamed(["steadyd.runner.app", "steadyd.runner.cellar"], rooms) == ["steadyd.runner.cellar"]


def test_commands_options_and_keys_are_documented() -> None:
    from steadyd.cli.program import program

    keys = [field.name for field in fields(Config)]
    assert undocumented(program, keys, documented()) == []


def test_changelog_is_about_this_version() -> None:
    headings = re.findall(r"^## \[([0-9.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == steadyd.__version__


def test_undocumented_options_are_found() -> None:
    command = click.Command("apps", params=[click.Option(["--deleted"])])
    group = click.Group("steadyd", commands={"apps": command})
    assert undocumented(group, ["idle"], "") == ["command apps", "option apps --deleted", "key idle"]
    assert (
        undocumented(group, ["idle", "app_domain"], "`steadyd apps [--deleted]` `Config.idle` `--app-domain D`") == []
    )
