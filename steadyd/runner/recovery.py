"""After a start: what the last daemon left half done is finished if it was committed, and undone if it was not."""

from __future__ import annotations

import time
from collections.abc import Mapping

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.journal import Operation
from steadyd.runner.ground import Ground
from steadyd.runner.removal import PURGE, Removal
from steadyd.runner.writing import SQL, UNSEEN_END, WRITE

INTERRUPTED = SteadyError("shutting_down", "The daemon stopped while this ran. Nothing was changed.")


async def recover(ground: Ground, removal: Removal) -> None:
    """Settle every operation that has no outcome. Nothing runs yet, and the live versions are what the rows say."""
    apps = {app.id: app for deleted in (False, True) for app in await ground.apps.everything(deleted)}
    for operation in await ground.journal.unfinished():
        await _settle(operation, apps, ground, removal)
    for app in apps.values():
        if app.version == 0:
            await removal.forget(app)
    await removal.shelf.tidy()
    await ground.tidy_modules()
    ground.trash.empty()


# Private


async def _settle(operation: Operation, apps: Mapping[str, App], ground: Ground, removal: Removal) -> None:
    app = apps.get(operation.app_id)
    if app is not None:
        if operation.committed and operation.kind == PURGE:
            await removal.forget(app)
        else:
            await ground.trash.throw(ground.place(app).scratch)
            await ground.versions.drop_never_live(app.id)
    outcome, error = ("done", None) if operation.committed else ("undone", INTERRUPTED.body()["error"])
    if operation.kind == SQL and operation.step == WRITE and not operation.committed:
        outcome, error = "failed", UNSEEN_END.body()["error"]
    await ground.journal.finish(operation.id, outcome, time.time(), None, error)
