"""A remix: the code of an app whose source may be read, with the names of its variables and no value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.web.auth import Caller
from steadyd.web.endpoint import Call, renamed
from steadyd.web.launch import Launched
from steadyd.web.rooms import Rooms
from steadyd.web.upload import Upload


@dataclass(frozen=True, slots=True)
class Original:
    """What a remix begins with."""

    app: App
    variables: Mapping[str, bool]
    """Name → whether it is secret, of those that the remix gives no value."""


async def remixed(
    call: Call, upload: Upload, launch: Callable[[], Awaitable[Launched]], over: App | None = None
) -> Launched:
    """What `launch` makes of `upload`: where that names an app, of the code that is live there. `over` is the app that
    it is deployed to, if there is one already.

    Raises:
        SteadyError: `not_found` where the caller may not read the one that is named; everything `launch` raises.
    """
    rooms = call.rooms
    original = await original_of(rooms, call.caller, upload, over)
    if upload.remix_of and original is not None:
        version = await rooms.versions.one(original.app.id, original.app.version)
        for file in version.files if version is not None else ():
            call.holding.take(file.size)
            upload.files[file.path] = await rooms.deployer.content(file)
    return await named(rooms, original, upload, launch)


async def original_of(rooms: Rooms, caller: Caller, upload: Upload, over: App | None = None) -> Original | None:
    """The app that `upload` names; None if it names none. What was made from an app that can be read no more goes on
    without it, and says so.

    Raises:
        SteadyError: `not_found` where it takes code that the caller may not read.
    """
    if not upload.remix_of and not upload.based_on:
        return None
    try:
        return await _open(rooms, caller, upload, over)
    except SteadyError as error:
        if upload.remix_of:
            raise
        upload.notes.append(f"{error.message} So no names of variables were taken from it.")
        upload.based_on = ""
        return None


async def named(
    rooms: Rooms, original: Original | None, upload: Upload, launch: Callable[[], Awaitable[Launched]]
) -> Launched:
    """What `launch` makes, with the names of the original's variables.

    Raises:
        SteadyError: everything `launch` raises; `deploy_failed` says which variables it may lack.
    """
    missing = ", ".join(original.variables) if original is not None else ""
    try:
        launched = await launch()
    except SteadyError as error:
        if error.code == "deploy_failed" and missing:
            error.message += (
                f" It may lack variables, of which only the names were taken; send them as “env”: {missing}."
            )
        raise
    app = launched.deployed.app
    if original is not None and missing:
        await rooms.library.blanks.leave(app.id, original.variables, rooms.now())
        upload.notes.append(
            f"These variables have no value yet: {missing}. Set them: steadyd env {app.name} set NAME=…"
        )
    return launched


# Private


async def _open(rooms: Rooms, caller: Caller, upload: Upload, over: App | None) -> Original:
    name = upload.remix_of or upload.based_on
    app = await rooms.apps.by_name(await renamed(rooms, name, caller) or name)
    readable = app is not None and (app.is_open_source or (caller.owns(app) and app.deleted_at is None))
    if app is None or not readable or app.version == 0:
        said = f"There is no app called “{name}” whose source you may read."
        raise SteadyError("not_found", said, {"name": name})
    environment = rooms.library.environment
    known = {*upload.env, *(await environment.shown(over.id) if over is not None else ())}
    blanks = await rooms.library.blanks.of(app.id)
    variables = {name: blank.secret for name, blank in blanks.items()}
    variables |= {name: told.secret for name, told in (await environment.shown(app.id)).items()}
    return Original(app, {name: secret for name, secret in sorted(variables.items()) if name not in known})
