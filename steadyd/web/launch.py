"""From an upload to a running app, for the API and the forms alike: who it belongs to, and what to tell them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from steadyd.errors import SteadyError
from steadyd.model import App, Kind, Principal, check_name
from steadyd.runner.arrivals import Arrival
from steadyd.runner.deploy import Deployed, Manner
from steadyd.runner.rehearsal import NO_REHEARSAL, Wish
from steadyd.terms import has_expired
from steadyd.variables import PRODUCTION, change_in
from steadyd.web import background, schema
from steadyd.web.auth import Caller
from steadyd.web.carried import Carried
from steadyd.web.env import read
from steadyd.web.rooms import Rooms
from steadyd.web.upload import Upload


@dataclass(frozen=True, slots=True)
class Launched:
    """What came of it. `guest` is who was made to own it, if nobody asked."""

    deployed: Deployed
    upload: Upload
    guest: Principal | None = None

    @property
    def notes(self) -> list[str]:
        offer = f"“.env” was left out. For its variables: steadyd env {self.deployed.app.name} import .env"
        return [*self.upload.notes, *([offer] if ".env" in self.upload.left_out else []), *self.deployed.notes]

    @property
    def left_out(self) -> list[schema.LeftOut]:
        return [schema.LeftOut(path=path, reason=reason) for path, reason in sorted(self.upload.left_out.items())]


async def create(rooms: Rooms, caller: Caller, address: str, upload: Upload) -> Launched:
    """Make a new app, and a guest to own it if nobody asked. A failure leaves neither behind.

    Raises:
        SteadyError: everything a create call can answer.
    """
    tree = upload.tree(rooms.apps.policy.tree)
    if upload.name is not None:
        check_name(upload.name)
    _refuse_deploy_wishes(upload)
    going = _manner(rooms, upload)
    if caller.principal is None and not rooms.guests:
        advice = "Send “Authorization: Bearer TOKEN”; the operator's token lies in the data folder, in operator.token."
        raise SteadyError("unauthorized", f"This host makes no apps for strangers. {advice}")
    if caller.app_id:
        raise SteadyError("forbidden", "This token is for one app only, and may make no other.")
    if caller.principal is None or not caller.principal.is_operator:
        await check_creation(rooms, address)
    owner = caller.principal or await _new_guest(rooms)
    temporary = upload.temporary or owner.kind is Kind.GUEST
    try:
        await rooms.household.check_room(owner, tree.values())
        again = await _overwritten(rooms, owner, upload.name, temporary)
        if again is not None:
            deployed = await _deploy_over(rooms, owner, again, upload, going)
        elif upload.carried is not None:
            deployed = await _arrived(rooms, owner, upload, upload.carried, temporary)
        else:
            deployed = await rooms.deployer.create(owner, upload.name, tree, upload.origin, temporary, going)
    except BaseException as error:
        if caller.principal is None:
            if not background.was_promised():
                await rooms.people.remove(owner)
            if isinstance(error, SteadyError) and error.code == "name_taken":
                raise _taken_for_a_stranger(rooms, error) from None
        raise
    return Launched(deployed, upload, owner if caller.principal is None else None)


async def check_creation(rooms: Rooms, address: str) -> None:
    """Count an app that is made from `address`.

    Raises:
        SteadyError: `forbidden` where the operator blocked it, `rate_limited`.
    """
    await rooms.library.blocks.check(address)
    rooms.creations.take(address, rooms.now())


async def deploy(rooms: Rooms, by: Principal, app: App, upload: Upload) -> Launched:
    """Make a new version of `app` live: the whole of it, or a change to the live one.

    Raises:
        SteadyError: everything a deploy call can answer.
    """
    if upload.name not in (None, app.name):
        raise SteadyError("invalid", f"The body names “{upload.name}”, the address “{app.name}”.", {"field": "name"})
    await rooms.household.check_room(by, (content for content in upload.files.values() if content is not None))
    going = replace(_manner(rooms, upload), rehearsal=await _rehearsal(rooms, app, upload))
    if upload.replace_data:
        deployed = await _replaced(rooms, by, app, upload, going)
    elif upload.merge:
        changes, origin = upload.files, upload.origin
        deployed = await rooms.deployer.merge(by, app, changes, origin, upload.base_version, going)
    else:
        tree = upload.tree(rooms.apps.policy.tree)
        deployed = await rooms.deployer.deploy(by, app, tree, upload.origin, upload.base_version, going)
    if upload.carried is not None and upload.carried.manifest.data is not None and not upload.replace_data:
        upload.notes.append(f"The archive's data stayed out: “{app.name}” has its own (“replace_data” puts it in).")
    if upload.temporary and not app.temporary:
        upload.notes.append(f"“temporary” changes nothing here: “{app.name}” is there already, and stays.")
    return Launched(deployed, upload)


def next_steps(rooms: Rooms, launched: Launched, token: str) -> schema.Next:
    """Where to go from here. `token` goes into the curl line, which works as typed."""
    name = launched.deployed.app.name
    api = f"{rooms.urls.control}/api/apps/{name}"
    return schema.Next(
        open=rooms.urls.app(name),
        edit=rooms.urls.page(name),
        logs=f"{api}/logs?follow=1",
        redeploy=redeploy_line(api, token, list(launched.upload.files), launched.upload.source),
    )


def redeploy_line(url: str, token: str, paths: list[str], source: str = "") -> str:
    """A whole curl line for the same form the app came in; where none suits several files, a tar of the folder."""
    parts = ["curl", "-X", "PUT", "-H", f"Authorization: Bearer {token}"]
    if source == "multipart":
        for path in paths:
            parts += ["-F", f"{path}=@{path}"]
    elif source != "archive" and len(paths) == 1:
        parts += ["--data-binary", f"@{paths[0]}"] if paths[0] == "index.ts" else ["-F", f"{paths[0]}=@{paths[0]}"]
    else:
        parts += ["-H", "Content-Type: application/gzip", "--data-binary", "@-"]
        return "tar -cz . | " + shlex.join([*parts, url])
    return shlex.join([*parts, url])


# Private


async def _replaced(rooms: Rooms, by: Principal, app: App, upload: Upload, going: Manner) -> Deployed:
    """Code and data of an archive in the place of an app's own; what was there becomes a restore point."""
    carried = upload.carried
    if carried is None or carried.manifest.data is None:
        said = "“replace_data” is about the data in an app's archive (steadyd pull --data), and there is none."
        raise SteadyError("invalid", said, {"field": "replace_data"})
    arrival = Arrival(by, carried.manifest, carried.file)
    data = rooms.backups.restores.bringing(lambda place: rooms.arrivals.data_into(arrival, app, place))
    tree = upload.tree(rooms.apps.policy.tree)
    deployed = await rooms.deployer.replace(by, app, tree, upload.origin, data, going)
    upload.notes += [*arrival.notes, "Its data is the archive's now. What it had is a restore point: steadyd backups"]
    return deployed


async def _arrived(rooms: Rooms, owner: Principal, upload: Upload, carried: Carried, temporary: bool) -> Deployed:
    """The whole of an app from its archive, under its own name if no other is said."""
    arrival = Arrival(owner, carried.manifest, carried.file)
    return await rooms.arrivals.create(arrival, upload.name or carried.manifest.name, temporary)


def _manner(rooms: Rooms, upload: Upload) -> Manner:
    """Raises `invalid` where it contradicts itself."""
    if upload.test and not upload.trial:
        raise SteadyError("invalid", "“test” is a part of the trial, which “trial” leaves out.", {"field": "test"})
    return Manner(upload.trial, change_in(PRODUCTION, read(upload.env, rooms.env_value_bytes)), upload.test)


async def _rehearsal(rooms: Rooms, app: App, upload: Upload) -> Wish:
    """Raises `invalid` for a strictness about nothing."""
    if upload.strict and not upload.rehearse:
        raise SteadyError("invalid", "“strict” is about a rehearsal: say “rehearse” too.", {"field": "strict"})
    if not upload.rehearse:
        return NO_REHEARSAL
    return Wish(tuple(await rooms.requests.repeatable(app.id, upload.rehearse)), upload.strict, True)


async def _new_guest(rooms: Rooms) -> Principal:
    guest = await rooms.people.add_guest(rooms.now())
    await background.keep_guest(rooms, guest)
    return guest


def _refuse_deploy_wishes(upload: Upload) -> None:
    if upload.merge or upload.base_version is not None:
        said = "“merge” and “base_version” are about an app that exists; this one is new."
        raise SteadyError("invalid", said, {"field": "merge" if upload.merge else "base_version"})


async def _overwritten(rooms: Rooms, owner: Principal, name: str | None, temporary: bool) -> App | None:
    """A temporary app gives way to its owner's next temporary app of that name, also when its time is over. What its
    owner deleted is theirs to bring back, or to purge."""
    found = await rooms.apps.by_name(name) if name and temporary else None
    yours = found is not None and found.owner_id == owner.id and found.temporary
    return found if found is not None and yours and (found.deleted_at is None or has_expired(found)) else None


async def _deploy_over(rooms: Rooms, owner: Principal, app: App, upload: Upload, going: Manner) -> Deployed:
    """One that had expired is there again, and is deleted again if the deploy fails."""
    if app.deleted_at is not None:
        await rooms.removal.undelete(owner, app)
    try:
        return await rooms.deployer.deploy(owner, app, upload.tree(rooms.apps.policy.tree), upload.origin, manner=going)
    except BaseException:
        if app.deleted_at is not None:
            await rooms.removal.delete(owner, app)
        raise


def _taken_for_a_stranger(rooms: Rooms, error: SteadyError) -> SteadyError:
    name = str(error.details.get("name", ""))
    url = f"{rooms.urls.control}/api/apps/{name}"
    line = shlex.join(["curl", "-X", "PUT", "-H", "Authorization: Bearer TOKEN", "--data-binary", "@index.ts", url])
    message = f"The name “{name}” is taken. Choose another, or if it is yours, deploy with its token: {line}"
    return SteadyError(error.code, message, error.details)
