"""API calls about whoever asks: who they are, what a guest is called, where they are reached."""

from __future__ import annotations

from msgspec import UNSET, UnsetType
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import Kind, Principal, check_nickname
from steadyd.settings import read
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.entry import checked_email
from steadyd.web.rooms import Rooms


class MeBody(schema.Strict):
    """What is left out stays. `nickname` is a guest's, `email` that of somebody with an account; `notify` is an https
    address for notices about your apps, and `null` is nowhere."""

    notify: str | UnsetType | None = UNSET
    nickname: str | UnsetType = UNSET
    email: str | UnsetType | None = UNSET


async def show_me(call: Call) -> Response:
    return json_answer(await shown.me(call.rooms, call.principal))


async def change_me(call: Call) -> Response:
    body = await call.body(MeBody)
    return json_answer(await shown.me(call.rooms, await change(call.rooms, call.principal, body)))


async def change(rooms: Rooms, who: Principal, body: MeBody) -> Principal:
    """Set what the body names, all or nothing; who they are now.

    Raises:
        SteadyError: `invalid`; `forbidden` for a nickname of somebody with a user name, or an e-mail address of
            somebody without an account.
    """
    if body.nickname is not UNSET and who.kind is not Kind.GUEST:
        raise SteadyError("forbidden", "Only a guest has a nickname. You have a name already, and it stays.")
    if body.email is not UNSET and who.kind is not Kind.USER:
        raise SteadyError("forbidden", "Only an account has an e-mail address. Sign up first.")
    nickname = None if body.nickname is UNSET else check_nickname(body.nickname)
    email = None if body.email is UNSET else checked_email((body.email or "").strip())
    notify = None if body.notify is UNSET else read("notify", body.notify or "")
    if nickname is not None:
        await rooms.people.set_nickname(who, nickname)
    if email is not None:
        await rooms.library.accounts.set_email(who.id, email)
    if notify is not None:
        await rooms.people.set_notify(who, notify)
    return await rooms.people.by_id(who.id) or who


ENDPOINTS = (
    Endpoint(
        method="GET", path="/api/me", handler=show_me, access=Access.KNOWN, answers=json_of(schema.MeAnswer),
        summary="Whose token or session this is.", errors=("unauthorized",), harmless=True,
    ),
    Endpoint(
        method="PATCH", path="/api/me", handler=change_me, access=Access.KNOWN, body=MeBody,
        answers=json_of(schema.MeAnswer),
        summary="Set your nickname as a guest, your e-mail address, or where notices about your apps go.",
        errors=tuple("bad_request unauthorized forbidden invalid unsupported_media_type too_large".split()),
    ),
)  # fmt: skip
