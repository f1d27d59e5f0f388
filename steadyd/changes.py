"""Following a developer's folder: changes are gathered by watchfiles, judged by `runner.reload`, and acted on one
after the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from watchfiles import awatch

from steadyd.errors import SteadyError
from steadyd.runner.local import LocalApp
from steadyd.runner.reload import Habits, Known, reloads

LOOK_MILLISECONDS = 1_000
"""How often the folders of modules that lie elsewhere are looked up."""
FILES_KNOWN_MAX = 50_000


async def follow_changes(app: LocalApp, is_ignored: Callable[[str], bool], is_database: Callable[[str], bool]) -> None:
    """Start the app, then reload it after each change that asks for it. The questions are those of `Known`."""
    changed: set[str] = set()
    news = asyncio.Event()
    existed = await asyncio.to_thread(files_in, str(app.source.folder))
    watchers = [
        asyncio.create_task(_watch_folder(app, changed, news)),
        asyncio.create_task(_watch_elsewhere(app, changed, news)),
    ]
    habits = Habits()
    wrote: set[str] = set()
    try:
        with contextlib.suppress(SteadyError):
            await app.wake()
        while True:
            await news.wait()
            news.clear()
            taken = set(changed)
            changed.clear()
            wrote |= app.wrote
            known = Known(
                folder=str(app.source.folder),
                modules=app.modules,
                wrote=wrote | habits.owned,
                existed=existed,
                is_ignored=is_ignored,
                is_database=is_database,
                is_running=app.instance is not None and not app.is_broken,
                modules_only=bool(app.source.file),
            )
            causes = {path for path in taken if reloads(path, known)}
            if causes:
                await _reload(app, causes, known, habits)
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def files_in(folder: str) -> set[str]:
    """What lies in the folder now, without hidden folders and dependencies; at most a folder past FILES_KNOWN_MAX."""
    found: set[str] = set()
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        found.update(os.path.join(here, name) for name in files)
        if len(found) > FILES_KNOWN_MAX:
            break
    return found


# Private


async def _reload(app: LocalApp, causes: set[str], known: Known, habits: Habits) -> None:
    shown = sorted(path.removeprefix(known.folder + "/") for path in causes)
    more = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
    app.say(f"{shown[0]}{more} changed: reloading")
    for path in habits.caused(causes - known.modules, asyncio.get_running_loop().time()):
        app.say(f"{path} keeps changing by itself: from now on it is taken for the app's own file")
    await app.reload()


async def _watch_folder(app: LocalApp, changed: set[str], news: asyncio.Event) -> None:
    folder = app.source.folder
    try:
        async for changes in awatch(folder, watch_filter=None, recursive=not app.source.file):
            changed.update(path for _, path in changes)
            news.set()
    except (OSError, RuntimeError) as error:
        app.say(f"Changes cannot be watched, so there is no reload: {error}")


async def _watch_elsewhere(app: LocalApp, changed: set[str], news: asyncio.Event) -> None:
    """Watch the folders of loaded modules that the first watcher does not reach (`../shared/db.ts`)."""
    while True:
        folders = _elsewhere(app)
        if not folders:
            await asyncio.sleep(LOOK_MILLISECONDS / 1000)
            continue
        with contextlib.suppress(OSError, RuntimeError):
            stream = awatch(
                *folders, watch_filter=None, recursive=False, rust_timeout=LOOK_MILLISECONDS, yield_on_timeout=True
            )
            async for changes in stream:
                changed.update(path for _, path in changes)
                if changes:
                    news.set()
                if not _elsewhere(app) <= folders:
                    break


def _elsewhere(app: LocalApp) -> set[str]:
    folder = str(app.source.folder)
    folders = {os.path.dirname(module) for module in app.modules}
    if app.source.file:
        return folders - {folder}
    return {path for path in folders if path != folder and not path.startswith(folder + "/")}
