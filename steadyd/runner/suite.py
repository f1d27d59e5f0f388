"""The app's own tests, run on the copy of its data that a candidate is tried on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from steadyd.errors import SteadyError
from steadyd.model import Version
from steadyd.runner.blobs import Blobs
from steadyd.runner.confined import ENVIRON
from steadyd.runner.sandbox import Room
from steadyd.runner.start import Plan
from steadyd.runner.tool import Result, Tools
from steadyd.tree import read_package

SUITE_SECONDS_MAX = 120.0
LINES_TOLD = 40
PACKAGE = "package.json"
OWN = {name: value for name, value in ENVIRON.items() if name in ("HOME", "LANG")} | {
    "PATH": "/steady:/usr/local/bin:/usr/bin:/bin",
    "NO_COLOR": "1",
}
"""`bun test` itself says NODE_ENV=test; PATH holds the Bun of this host."""


async def run_suite(tools: Tools, blobs: Blobs, version: Version, plan: Plan) -> None:
    """Run the script `test` of package.json, else `bun test`, in `plan`'s folder: sandboxed, offline, bounded.

    Raises:
        SteadyError: `deploy_failed` with the last lines, if it fails or takes too long.
    """
    script = await asyncio.to_thread(_script, blobs, version)
    room = Room(
        plan.folder,
        tools.engine.folder,
        plan.uid,
        {**OWN, **plan.environ},
        modules=plan.modules,
        read_only=plan.read_only,
    )
    if not tools.sandboxed:
        path = f"{tools.engine.folder}:{OWN['PATH']}"
        room = replace(room, environ={**room.environ, "PATH": path})
    result = await tools.run(room, ["--no-install", "--no-env-file", *script], SUITE_SECONDS_MAX)
    if not result.ok:
        lines = result.last_lines(LINES_TOLD)
        reason = _reason(result, " ".join(("bun", *script)))
        details = {"step": "trial", "reason": reason, "logs": lines}
        raise SteadyError("deploy_failed", f"The app's own tests fail: {reason}", details)


# Private


def _script(blobs: Blobs, version: Version) -> tuple[str, ...]:
    tree = {file.path: blobs.get(file.sha256) for file in version.files if file.path == PACKAGE}
    scripts = read_package(tree).get("scripts")
    return ("run", "test") if isinstance(scripts, dict) and isinstance(scripts.get("test"), str) else ("test",)


def _reason(result: Result, command: str) -> str:
    if result.timed_out:
        return f"“{command}” did not end within {SUITE_SECONDS_MAX:g} s."
    said = [line.strip() for line in result.last_lines(LINES_TOLD) if line.strip().startswith(("error", "(fail)"))]
    return f"“{command}” ended with {result.ended}" + (f": {said[0]}" if said else ".")
