"""The lifecycle scripts of packages that an app trusts (`trustedDependencies` of its package.json).

Each package's run in a build sandbox of their own, with no more than an installation has, and less: they may change
what is in node_modules, but neither the lock nor what the app fetched for its next installations. From there a package
that a script has changed would come to be in a set of which the key says that no script ran.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace

from steadyd.runner.diagnosis import Said, diagnose_script
from steadyd.runner.folder import MODULES
from steadyd.runner.lockfile import Package
from steadyd.runner.outlay import Outlay
from steadyd.runner.sandbox import APP, Room
from steadyd.runner.tool import SCRIPT, Result, Tools

SCRIPTS_SECONDS_MAX = 120.0
"""For all scripts of one installation together."""


async def run_scripts(
    tools: Tools, room: Room, door: Sequence[str], packages: Sequence[Package], outlay: Outlay
) -> list[str]:
    """Run those of `packages`, in order; returns the names of the packages that had any. `room` is the installation's,
    and `door` the two words about the way out (harness/door.ts).

    Raises:
        SteadyError: `deploy_failed` (step `install`) with the first package that fails, or `too_large`.
    """
    ran: dict[str, None] = {}
    deadline = time.monotonic() + SCRIPTS_SECONDS_MAX
    bare = replace(room, extra={f"{APP}/{MODULES}": room.folder / MODULES}, folder_read_only=True)
    for package in packages:
        words = [*SCRIPT, "{engine}/scripts.ts", *door, "{app}", f"{{app}}/{MODULES}/{package.folder}"]
        result = await outlay.attend(tools.run(bare, words, max(0.0, deadline - time.monotonic())))
        if not result.ok:
            lines = result.last_lines()
            timed_out = SCRIPTS_SECONDS_MAX if result.timed_out else 0.0
            raise diagnose_script(package.name, Said(lines, str(result.ended), timed_out_seconds=timed_out)).as_error(
                [line for line in lines if not line.startswith('{"scripts"')]
            )
        if _has_scripts(result):
            ran[package.name] = None
    return list(ran)


# Private


def _has_scripts(result: Result) -> bool:
    """From the first line, which no script could write."""
    with contextlib.suppress(ValueError, IndexError, AttributeError):
        return bool(json.loads(result.output.splitlines()[0]).get("scripts"))
    return False
