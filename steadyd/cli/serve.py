"""`steadyd serve`: from options to a `Config`, then to the daemon."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from steadyd.backup.target import SETTINGS, parse_credentials, parse_target
from steadyd.cli.quantity import duration, size, switch
from steadyd.cli.verb import Verb
from steadyd.config import (
    DEFAULT_DOMAIN,
    DEFAULT_LISTEN,
    NO_LIMIT_BYTES,
    NO_LIMIT_SECONDS,
    SANDBOX_MODES,
    Config,
    cpus_ceiling,
    default_data,
    memory_ceiling,
    parse_abuse_contact,
    parse_address,
    parse_domain,
    parse_public_url,
)
from steadyd.errors import SteadyError

CREDENTIALS_BYTES_MAX = 64 << 10
SIGNUP_MODES = ("open", "invite", "closed")
AS_SAID = (
    "sandbox", "files", "cpus", "processes", "guest_apps", "creations_per_hour", "log_ins_per_hour", "signups_per_hour",
    "client_connections", "waiters", "temporary_days", "deleted_days", "name_quarantine_days", "versions_kept",
    "point_in_time_days", "points_kept", "replicated_seconds",
)  # fmt: skip
"""Options that the configuration takes as they are, under the same name."""


@click.command(cls=Verb)
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, metavar="HOST:PORT", help="Port 0: a free one.")
@click.option("--private-listen", metavar="HOST:PORT", help="The API answers here too, and no app; port 0: a free one.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where everything is kept.  [default: /var/lib/steadyd as root, else $XDG_DATA_HOME/steadyd]",
)
@click.option("--app-domain", default=DEFAULT_DOMAIN, show_default=True, help="Apps answer at NAME.DOMAIN.")
@click.option("--control-domain", default=DEFAULT_DOMAIN, show_default=True, help="The editor and the API answer here.")
@click.option("--public-url", default="", metavar="URL", help="How the control plane is reached from outside.")
@click.option(
    "--abuse-contact", default="", metavar="CONTACT", help="E-mail or https URL, named on every page of ours."
)
@click.option("--sandbox", type=click.Choice(SANDBOX_MODES), default="auto", show_default=True)
@click.option("--guests", type=switch, metavar="on|off", help="May visitors make apps?  [default: on on loopback]")
@click.option("--signup", type=click.Choice(SIGNUP_MODES), help="[default: open on loopback, else invite]")
@click.option("--freeze", type=duration, default="10s", show_default=True, help="An idle app is paused; 0: never.")
@click.option("--idle", type=duration, default="15min", show_default=True, help="An app sleeps after this; 0: never.")
@click.option("--start-deadline", type=duration, default="30s", show_default=True, help="For a wake, start or deploy.")
@click.option("--hold", type=duration, default="10s", show_default=True, help="How long a swap may hold requests.")
@click.option("--drain", type=duration, default="5s", show_default=True, help="For requests in flight at a swap.")
@click.option("--grace", type=duration, default="5s", show_default=True, help="Between SIGTERM and SIGKILL.")
@click.option("--cron-deadline", type=duration, default="5min", show_default=True, help="For one run of a cron.")
@click.option(
    "--replicated-seconds",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="How long an answer waits for the replica, of apps that want it to.",
)
@click.option("--logs", type=size, default="100MiB", show_default=True, help="Log kept per app.")
@click.option("--request-body", type=size, default="100MiB", show_default=True, help="Largest request body.")
@click.option("--files", type=click.IntRange(min=0), default=1_000, show_default=True, help="Of one app; 0: any.")
@click.option("--file-size", type=size, default="10MiB", show_default=True, help="An app's largest file; 0: any.")
@click.option("--app-size", type=size, default="100MiB", show_default=True, help="An app's files together; 0: any.")
@click.option("--env-value", type=size, default="64KiB", show_default=True, help="Largest value of a variable.")
@click.option("--memory", type=size, default="256MiB", show_default=True, help="An app's memory; 0: no limit.")
@click.option(
    "--cpus", type=click.FloatRange(min=0), default=1.0, show_default=True, help="An app's processors; 0: no limit."
)
@click.option(
    "--processes",
    type=click.IntRange(min=0),
    default=64,
    show_default=True,
    help="Its processes and threads; 0: no limit.",
)
@click.option("--disk", type=size, default="1GiB", show_default=True, help="What an app may write; 0: no limit.")
@click.option("--memory-max", type=size, help="The most that settings may give an app; 0: any.  [default: half of all]")
@click.option("--cpus-max", type=click.FloatRange(min=0), help="The same for processors.  [default: all of them]")
@click.option(
    "--processes-max", type=click.IntRange(min=0), default=1024, show_default=True, help="The same for processes."
)
@click.option("--disk-max", type=size, default="10GiB", show_default=True, help="The same for what it may write.")
@click.option("--guest-memory", type=size, default="128MiB", show_default=True, help="A guest's app has this at most.")
@click.option("--guest-disk", type=size, default="100MiB", show_default=True, help="The same for what it may write.")
@click.option("--guest-apps", type=click.IntRange(min=0), default=5, show_default=True, help="Of one guest; 0: any.")
@click.option(
    "--creations-per-hour",
    type=click.IntRange(min=0),
    default=60,
    show_default=True,
    help="Apps that one client address makes; 0: any. Loopback and the operator make any.",
)
@click.option(
    "--log-ins-per-hour",
    type=click.IntRange(min=0),
    default=60,
    show_default=True,
    help="Of one client address, loopback left out; 0: any.",
)
@click.option(
    "--signups-per-hour",
    type=click.IntRange(min=0),
    default=60,
    show_default=True,
    help="Accounts made from one client address, loopback left out; 0: any.",
)
@click.option(
    "--client-connections",
    type=click.IntRange(min=0),
    default=4_096,
    show_default=True,
    help="Open at the same time from one client address; 0: any.",
)
@click.option(
    "--waiters",
    type=click.IntRange(min=0),
    default=2_048,
    show_default=True,
    help="Requests that wait for one app; 0: any.",
)
@click.option(
    "--temporary-days",
    type=click.FloatRange(min=0),
    default=7.0,
    show_default=True,
    help="A temporary app lives so long after its last edit, and is kept as long again; 0: for ever.",
)
@click.option(
    "--deleted-days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="A deleted app is kept for so long; 0: until it is purged.",
)
@click.option(
    "--name-quarantine-days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="A name that an app gave up leads on to it, and is its owner's alone, for so long; 0: not at all.",
)
@click.option(
    "--versions-kept", type=click.IntRange(min=0), default=100, show_default=True, help="Of each app; 0: all of them."
)
@click.option(
    "--point-in-time-days",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    help="How long every moment of an app's databases stays reachable.",
)
@click.option(
    "--replica",
    default="",
    metavar="URL",
    help="Where backups go: file:///path, s3://bucket/prefix.  [default: in --data]",
)
@click.option(
    "--replica-credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Its keys, as the AWS tools write them.  [default: AWS_… of the environment]",
)
@click.option(
    "--points-kept",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="An app's newest restore points, and as many made by hand; 0: all.",
)
def serve(**options: Any) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    try:
        config = config_from(options)
    except SteadyError as error:
        raise click.UsageError(error.message) from None
    from steadyd import daemon

    sys.exit(daemon.serve(config))


def config_from(options: dict[str, Any]) -> Config:
    """The daemon's configuration; guests and sign-up follow the listener where nobody said otherwise.

    Raises:
        SteadyError: `invalid` for an address, domain or URL that is none, or a default above its ceiling.
    """
    listen = parse_address(options["listen"])
    private = parse_address(options["private_listen"]) if options["private_listen"] else None
    is_loopback = listen.is_loopback and (private is None or private.is_loopback)
    guests = options["guests"]
    config = Config(
        data=(options["data"] or default_data(os.environ)).absolute(),
        listen=listen,
        private_listen=private,
        app_domain=parse_domain(options["app_domain"]),
        control_domain=parse_domain(options["control_domain"]),
        public_url=parse_public_url(options["public_url"]),
        abuse_contact=parse_abuse_contact(options["abuse_contact"]),
        guests=is_loopback if guests is None else guests,
        signup=options["signup"] or ("open" if is_loopback else "invite"),
        freeze_seconds=options["freeze"],
        idle_seconds=options["idle"],
        start_seconds=options["start_deadline"] or NO_LIMIT_SECONDS,
        hold_seconds=options["hold"] or NO_LIMIT_SECONDS,
        drain_seconds=options["drain"],
        cron_seconds=options["cron_deadline"],
        grace_seconds=options["grace"],
        log_bytes=options["logs"],
        request_body_bytes=options["request_body"] or NO_LIMIT_BYTES,
        file_bytes=options["file_size"],
        app_bytes=options["app_size"],
        env_value_bytes=options["env_value"],
        memory_bytes=options["memory"],
        disk_bytes=options["disk"],
        guest_memory_bytes=options["guest_memory"],
        guest_disk_bytes=options["guest_disk"],
        memory_bytes_ceiling=_ceiling(options["memory_max"], memory_ceiling(), options["memory"]),
        cpus_ceiling=_ceiling(options["cpus_max"], cpus_ceiling(), options["cpus"]),
        processes_ceiling=options["processes_max"],
        replica=options["replica"],
        replica_credentials=replica_credentials(options["replica"], options["replica_credentials"]),
        disk_bytes_ceiling=options["disk_max"],
        **{key: options[key] for key in AS_SAID},
    )
    config.policy.check_itself()
    return config


def replica_credentials(replica: str, file: Path | None) -> dict[str, str]:
    """What `file`, or else the environment, says of the store of `replica`; nothing for a folder.

    Raises:
        SteadyError: `invalid` for a file that cannot be read, and for a target that is none.
    """
    said = {}
    if file is not None:
        try:
            with file.open(encoding="utf-8") as opened:
                said = parse_credentials(opened.read(CREDENTIALS_BYTES_MAX), str(file))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SteadyError("invalid", f"{file} cannot be read: {reason}. Correct --replica-credentials.") from None
    elif replica.startswith("s3:"):
        said = {name: os.environ[name] for name in SETTINGS if os.environ.get(name)}
    if replica:
        parse_target(replica, said)
    return said


# Private


def _ceiling(said: Any, machine: float, default: float) -> Any:
    """What was said; else what the machine has, or the default where that is more (0: no limit)."""
    return said if said is not None else max(machine, default) if default else 0
