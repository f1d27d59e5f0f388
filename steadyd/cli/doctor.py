"""`steadyd doctor`: what this machine can do, one line each, with the command that fixes a problem."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import click

from steadyd.cli.terminal import print_json, safe_line
from steadyd.cli.verb import Verb, json_option
from steadyd.config import DEFAULT_LISTEN, default_data, parse_address
from steadyd.errors import SteadyError


@click.command(cls=Verb)
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, metavar="HOST:PORT", help="Where to serve.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="The data folder.")
@click.option("--unit", "as_unit", is_flag=True, help="Print a hardened systemd unit for this steadyd instead.")
@json_option
def doctor(listen: str, data: Path | None, as_unit: bool, as_json: bool) -> None:
    """Check this machine; exits 1 if something that steadyd needs is missing."""
    from steadyd.cli.checks import examine
    from steadyd.cli.unit import this_place, unit

    try:
        address = parse_address(listen)
    except SteadyError as error:
        raise click.UsageError(error.message) from None
    if as_unit:
        click.echo(unit(this_place(data or default_data(os.environ, uid=0), address)), nl=False)
        return
    findings = examine(data or default_data(os.environ), address)
    healthy = not any(finding.is_fatal for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "checks": [dataclasses.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            fix = f"  fix: {finding.fix}" if finding.fix else ""
            click.echo(safe_line(f"{finding.state:<8} {finding.name:<15} {finding.detail}{fix}"))
    if not healthy:
        click.get_current_context().exit(1)
