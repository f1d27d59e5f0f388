"""The `steadyd` command: its list of commands and nothing else."""

from __future__ import annotations

import click

from steadyd import __version__
from steadyd.cli.allow import allow, refuse
from steadyd.cli.apps import apps, open_app, show, versions
from steadyd.cli.appsettings import settings
from steadyd.cli.backups import backups
from steadyd.cli.change import claim, delete, rename, restart, rollback, start, stop, undelete
from steadyd.cli.crons import crons
from steadyd.cli.deploy import deploy
from steadyd.cli.diff import diff
from steadyd.cli.doctor import doctor
from steadyd.cli.env import env
from steadyd.cli.follow import logs, requests
from steadyd.cli.fork import fork
from steadyd.cli.login import login, logout, whoami
from steadyd.cli.notify import notify
from steadyd.cli.operations import operations
from steadyd.cli.preview import preview
from steadyd.cli.pull import pull
from steadyd.cli.recover import recover
from steadyd.cli.repl import repl
from steadyd.cli.restore import restore
from steadyd.cli.run import run
from steadyd.cli.secrets import secrets
from steadyd.cli.serve import serve
from steadyd.cli.sql import sql
from steadyd.cli.token import token
from steadyd.cli.top import top
from steadyd.cli.users import resume, suspend, users
from steadyd.cli.verb import config_option

SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Run apps": (run, serve, recover, preview, deploy, pull),
    "Look": (apps, top, show, logs, requests, versions, diff, operations, open_app),
    "Change": (
        *(start, stop, restart, rollback, fork, rename, claim, settings, env, crons, notify),
        *(allow, refuse, delete, undelete),
    ),
    "Reach in": (repl, sql),
    "Go back": (backups, restore),
    "People": (login, logout, whoami, token, users, suspend, resume),
    "Check": (doctor, secrets),
}
EPILOG = "Every option also reads STEADYD_<OPTION>, and the config file (flag, environment, file, default)."


class Program(click.Group):
    """Lists its commands in sections, in the order in which one meets them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(command.name or "", command.get_short_help_str(90)) for command in commands])


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed (one line on stderr says why), 2 usage."""
    program(prog_name="steadyd")


# Private


def _build() -> Program:
    group = Program(
        "steadyd",
        help="An instant home for small Bun apps.",
        epilog=EPILOG,
        params=[config_option()],
        context_settings={"max_content_width": 110},
    )
    for commands in SECTIONS.values():
        for command in commands:
            group.add_command(command)
    click.version_option(__version__, message="%(prog)s %(version)s")(group)
    return group


program = _build()
