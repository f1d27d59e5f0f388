"""Everything that changes apps, as one value: the operations, and the rooms whose work is journaled as one."""

from __future__ import annotations

from dataclasses import dataclass

from steadyd.runner.archives import Archives
from steadyd.runner.arrivals import Arrivals
from steadyd.runner.blobs import Shelf
from steadyd.runner.candidate import Trials
from steadyd.runner.controller import Controller
from steadyd.runner.deploy import Deployer
from steadyd.runner.drafts import Drafts
from steadyd.runner.fleet import Fleet
from steadyd.runner.forks import Forks
from steadyd.runner.household import Household, watched
from steadyd.runner.identity import Identity
from steadyd.runner.install import Installer
from steadyd.runner.operation import Operations
from steadyd.runner.previews import Previews
from steadyd.runner.process import Spawn, spawn
from steadyd.runner.quota import Quota
from steadyd.runner.recovery import recover
from steadyd.runner.removal import Removal
from steadyd.runner.repls import Repls
from steadyd.runner.retreat import Retreats
from steadyd.runner.upgrade import Upgrades


@dataclass(frozen=True, slots=True)
class Workshop:
    """What is done to apps, and by which room."""

    fleet: Fleet
    operations: Operations
    controller: Controller
    identity: Identity
    removal: Removal
    deployer: Deployer
    trials: Trials
    quota: Quota
    repls: Repls
    household: Household
    forks: Forks
    archives: Archives
    arrivals: Arrivals
    previews: Previews

    async def recover(self) -> None:
        """After a start, before anything runs: settle what the last daemon left half done."""
        await recover(self.fleet.ground, self.removal)
        await self.trials.copies.clear(self.fleet.ground.folder)
        await self.archives.clear()
        await self.previews.clear()

    async def close(self) -> None:
        """Wait for the operations under way, and end what runs beside the apps."""
        await self.operations.close()
        await self.previews.close()
        await self.trials.close()
        await self.fleet.ground.trash.close()


def open_workshop(fleet: Fleet, installer: Installer, trials: Trials, spawn: Spawn = spawn) -> Workshop:
    """The rooms over `fleet`."""
    ground = fleet.ground
    operations = Operations(ground.journal, fleet.events.publish)
    controller = Controller(fleet, operations)
    removal = Removal(fleet, operations, Shelf(ground.blobs, ground.versions.contents_in_use))
    drafts = Drafts(ground, installer)
    deployer = Deployer(controller, drafts, trials, removal)
    fleet.prepare = Upgrades(fleet, trials).prepare
    fleet.on_failed = Retreats(fleet, operations, deployer).failed
    repls = Repls(fleet, spawn)
    quota = Quota(ground.folder, spawn, lambda: repls.watched(watched(fleet)))
    household = Household(ground, quota)
    previews = Previews(fleet, trials, drafts, removal.shelf)
    fleet.on_note, fleet.part = previews.heard, lambda app_id: previews.end(app_id, "The app was deleted.")
    fleet.on_short = previews.relieve
    return Workshop(
        fleet=fleet,
        operations=operations,
        controller=controller,
        identity=Identity(controller),
        removal=removal,
        deployer=deployer,
        trials=trials,
        quota=quota,
        repls=repls,
        household=household,
        archives=Archives(controller, trials.copies),
        arrivals=Arrivals(ground, deployer, installer, removal, household),
        previews=previews,
        forks=Forks(controller, trials.copies, removal, household),
    )
