"""What one guest's apps hold on this host's disk together: the files of their versions, and all that they wrote."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Iterable

from steadyd.errors import SteadyError
from steadyd.model import Kind, Principal
from steadyd.runner.failure import DISK, size
from steadyd.runner.fleet import Fleet
from steadyd.runner.folder import Place
from steadyd.runner.ground import Ground
from steadyd.runner.instance import pause, pids_of
from steadyd.runner.quota import Quota, Share, Watched


class Household:
    """Counts before anything new is put there. What runs is watched by `quota`, which knows what was measured."""

    def __init__(self, ground: Ground, quota: Quota) -> None:
        self._ground = ground
        self._quota = quota

    async def check_room(self, owner: Principal, contents: Iterable[bytes]) -> None:
        """Let a guest add these files; everybody else's apps have each a limit of their own.

        Raises:
            SteadyError: `disk_full` with `details` {used, limit}, in bytes.
        """
        if not self._limit(owner):
            return
        kept = await self._ground.versions.contents_of(owner.id)
        found = await asyncio.to_thread(_addressed, contents)
        await self.check_bytes(owner, sum({at: length for at, length in found if at not in kept}.values()))

    async def check_bytes(self, owner: Principal, more: int) -> None:
        """Let a guest add so many bytes.

        Raises:
            SteadyError: as `check_room`.
        """
        limit = self._limit(owner)
        if not limit or not more:
            return
        kept = await self._ground.versions.contents_of(owner.id)
        used = sum(kept.values()) + await self.written(owner)
        if used + more > limit:
            raise SteadyError(
                "disk_full",
                f"Your apps hold {size(used)} of the {size(limit)} that a guest has, and this adds {size(more)}. "
                "Delete one for good (DELETE /api/apps/NAME?purge=1), or sign up to have more.",
                {"used": used, "limit": limit},
            )

    async def written(self, owner: Principal) -> int:
        """Bytes that all apps of an owner wrote, deleted ones included: they are kept for a while."""
        apps = self._ground.apps
        found = [app for deleted in (False, True) for app in await apps.of_owner(owner.id, deleted)]
        folder = self._ground.folder
        running = {plan.app_id for plan in self._ground.starter.running.values() if plan.folder.parent.parent == folder}
        total = 0
        for app in found:
            place = self._ground.place(app)
            used = self._quota.used(place.app)
            if used is not None:
                total += used.bytes
            elif app.id not in running:  # what runs is looked at within a second, and is no reason to wait
                total += await self._quota.held(_at_rest(place))
        return total

    # Private

    def _limit(self, owner: Principal) -> int:
        """What a guest's apps may hold together; 0 is no limit, as it is for everybody else."""
        return self._ground.apps.policy.guest_limits.disk_bytes if owner.kind is Kind.GUEST else 0


def watched(fleet: Fleet) -> list[Watched]:
    """Every instance that may be writing now, with the limits of this moment; and what a guest's other apps leave to
    those of them that run."""
    limit = fleet.ground.apps.policy.guest_limits.disk_bytes
    found, running, guests = [], set(), set()
    for instance, plan in fleet.ground.starter.running.items():
        if instance.frozen or instance.killed_for or plan.local:
            continue
        runtime, place = fleet.runtime(plan.app_id), Place(plan.folder.parent, plan.uid)
        limits = runtime.settings.limits if runtime is not None else plan.limits
        shares = plan.reach.guest and place.root == fleet.ground.folder / plan.app_id  # not a trial's copy of the data
        share = Share(plan.reach.owner, limit) if shares else None
        if share is not None:
            running.add(plan.app_id)
            guests.add(share)
        found.append(
            Watched(
                folders=(str(place.app), str(place.aside)),
                uid=plan.uid,
                limit_bytes=limits.disk_bytes,
                pids=functools.partial(pids_of, instance),
                pause=functools.partial(pause, instance),
                stop=functools.partial(instance.kill, DISK),
                share=share,
            )
        )
    for share in guests:
        resting = (place for app_id, place in fleet.places(share.whose).items() if app_id not in running)
        found += [_at_rest(place, share) for place in resting]
    return found


# Private


def _at_rest(place: Place, share: Share | None = None) -> Watched:
    folders = (str(place.app), str(place.aside))
    return Watched(folders, place.uid, 0, pids=list, pause=_nothing, stop=_nothing, share=share, rests=True)


def _nothing(_: object) -> None:
    """Nobody runs who could be paused or stopped."""


def _addressed(contents: Iterable[bytes]) -> list[tuple[str, int]]:
    return [(hashlib.sha256(content).hexdigest(), len(content)) for content in contents]
