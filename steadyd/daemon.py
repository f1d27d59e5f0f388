"""The composition root: builds every room, starts them in order, stops them in reverse. Only this room knows all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from steadyd import diary, hostdisk
from steadyd.backup.arrival import Arrival, arrive
from steadyd.backup.epochs import Epochs, farewell
from steadyd.backup.litestream import Means
from steadyd.backup.recovery import recover
from steadyd.backup.room import Backups, Replica, Whither, open_backups, open_replica, settle
from steadyd.backup.target import parse_target
from steadyd.config import Address, Config
from steadyd.control import SERVICE_ID, ControlPlane, recorded
from steadyd.errors import SteadyError
from steadyd.linux.cgroup import Cgroups, Tier, open_cgroups
from steadyd.model import Choices, Event, Kind, Principal
from steadyd.model import Limits as AppLimits
from steadyd.neighbours import Neighbours
from steadyd.notices import Notices
from steadyd.passwords import Passwords
from steadyd.post import Post
from steadyd.premises import Corner, bind, data_folder, runtime_folder, sandbox_problem, write_private
from steadyd.proxy.collector import settle_collector
from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.limits import Limits
from steadyd.proxy.listener import Listener
from steadyd.proxy.ring import RequestRing
from steadyd.proxy.service import Service
from steadyd.records.library import KEY_FILE, Library, open_library
from steadyd.records.metrics import Metrics
from steadyd.records.people import People
from steadyd.records.requests import Requests
from steadyd.records.schema import STEADY
from steadyd.runner import engine, process
from steadyd.runner.app import Timing
from steadyd.runner.blobs import Blobs
from steadyd.runner.candidate import Trials
from steadyd.runner.collection import Collection
from steadyd.runner.core import Core
from steadyd.runner.crons import Scheduler
from steadyd.runner.errand import Errands, Told
from steadyd.runner.fleet import Fleet, Routes
from steadyd.runner.ground import PLUMBER_UID, Ground
from steadyd.runner.install import Installer
from steadyd.runner.launcher import Launcher
from steadyd.runner.logs import Logs
from steadyd.runner.modules import Modules
from steadyd.runner.networks import Networks
from steadyd.runner.plumbing import Plumbing
from steadyd.runner.process import Spawn, settle_descriptors
from steadyd.runner.query import Databases
from steadyd.runner.registry import Registry
from steadyd.runner.start import Starter
from steadyd.runner.tool import Tools
from steadyd.runner.trash import Trash
from steadyd.runner.workshop import Workshop, open_workshop
from steadyd.runner.zygote import Nursery
from steadyd.sampler import Sampler
from steadyd.stopping import on_signals
from steadyd.store import Database
from steadyd.telemetry import Telemetry
from steadyd.urls import Urls
from steadyd.web.app import build
from steadyd.web.rate import RateLimit
from steadyd.web.rooms import Rooms

STOP_SECONDS_MAX = 12.0
"""For draining, of the 15 s in which a stop must be done."""
SWITCH_INTERVAL_SECONDS = 0.0005
"""Threads (log, telemetry, database) give the interpreter back to the loop after this."""

COOKIE = "A cookie for more than {} was made one for this host only: other apps must not get it."

logger = logging.getLogger("steadyd")


def serve(config: Config) -> int:
    """Run the daemon until it is told to stop; returns the exit code.

    Raises:
        SteadyError: `cannot_start` and its kin, with one sentence that says what to do.
    """
    return uvloop.run(_serve(config))


async def _serve(config: Config) -> int:
    settle_descriptors()
    stopping = on_signals(signal.SIGTERM, signal.SIGINT)
    with data_folder(config), runtime_folder(config) as corner:
        async with _running(config, corner) as ready_line:
            sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
            settle_collector()
            print(ready_line, flush=True)
            logger.info(ready_line)
            await stopping.wait()
            print("steadyd stopping", flush=True)
            logger.info("steadyd stopping")
    return 0


@asynccontextmanager
async def _running(config: Config, corner: Corner) -> AsyncIterator[str]:
    """Everything, from the store to the open listener, and back in reverse order."""
    async with contextlib.AsyncExitStack() as stack:
        arrival = await arrive(parse_target(config.replica_url, config.replica_credentials), config.data)
        built = engine.prepare(config.data / "engine")
        launcher, spawn = await _launcher(stack)
        problem = await sandbox_problem(config, Tools(built, True, spawn))
        sandboxed = not problem
        library = await _library(stack, config, arrival, Tools(built, sandboxed, spawn))
        operator = await library.people.operator(time.time())
        config = replace(config, guests=False, signup="closed") if problem else config

        logs = _logs(stack, config)
        ring, sockets, inside = RequestRing(), bind(config.listen), bind(config.private_listen, "--private-listen")
        limits = Limits(body_bytes_max=config.request_body_bytes, connections_per_client_max=config.client_connections)
        listener = Listener(RouteTable(), ring, limits, lambda app, host: logs.say(app.id, 0, COOKIE.format(host)))
        port, said = sockets[0].getsockname()[1], (config.public_url, config.abuse_contact)
        urls = Urls(config.app_domain, config.control_domain, port, *said)
        control, private = ControlPlane(corner.control, config.request_body_bytes), Listener(RouteTable(), ring, limits)
        requests = Requests(partial(_folder, config))
        telemetry, metrics = Telemetry(ring, requests, {SERVICE_ID: recorded}), Metrics(requests)
        stack.push_async_callback(telemetry.close)

        starter = Starter(built, corner.instances, logs, sandboxed, spawn, _cgroups(stack, corner))
        neighbours = Neighbours(ring, limits)
        starter.networks = await _networks(stack, spawn, logs, library, neighbours) if sandboxed else None
        tools = Tools(built, sandboxed, spawn, starter.cgroups)
        installer = Installer(tools, Registry(corner.instances), Modules(config.data / "modules", config.apps))
        ground = Ground(
            folder=config.apps,
            blobs=Blobs(config.blobs),
            library=library,
            logs=logs,
            starter=starter,
            urls=urls,
            timing=_timing(config),
            trash=Trash(config.data / "trash", spawn),
            as_root=os.geteuid() == 0,
            forget=requests.forget,
            installer=installer,
            only_owner="" if sandboxed else operator.id,
        )
        replica = await stack.enter_async_context(_replica(config, corner, arrival, ground, launcher))
        notices = _notices(stack, config, ground)
        routing = partial(_set_routes, listener, private, neighbours, control, urls)
        fleet, crons = _fleet(stack, config, ground, notices, ring, routing)
        fleet.core = Core(SERVICE_ID, operator, time.time(), lambda: control.asked)
        workshop = open_workshop(fleet, installer, Trials(fleet, tools), spawn)
        stack.push_async_callback(workshop.close)
        backups = await _recovered(stack, replica, workshop, tools)
        await asyncio.gather(fleet.load(), crons.recover())
        _nurse(stack, launcher, starter, config)

        told = _rooms(stack, config, metrics, backups, (notices, crons), workshop)
        told = replace(told, record=partial(_log_errand, ring))
        rooms = replace(told, missing=(problem,) * bool(problem), superseded=lambda: arrival.epochs.superseded)
        await control.open(build(rooms))
        stack.push_async_callback(control.close)
        await _start_work(stack, workshop, telemetry, Sampler(metrics, fleet.readings), crons, arrival.epochs)
        await _listen(stack, config, ((listener, sockets), (private, inside)))
        await _introduce(config, library.people, operator, urls)
        yield f"steadyd ready on http://{config.listen.host}:{urls.port}"


# Private


async def _library(stack: contextlib.AsyncExitStack, config: Config, arrival: Arrival, tools: Tools) -> Library:
    """The records, from the backup target where they are lost, once it is known which epoch is ours. A rotation of the
    variables' key that was interrupted ends here; where the key is missing that is said, and everything else goes on.
    """
    if (recovered := await recover(arrival, config.database, tools)) is not None:
        print(recovered, flush=True)
    database = stack.enter_context(contextlib.closing(Database(config.database, STEADY)))
    library = open_library(database, config.policy, config.terms)
    await arrival.epochs.settle(library.epochs, time.time())
    await library.environment.settle()
    if locked := await library.environment.locked():
        logger.warning("%d apps cannot start: the key of their variables is not in %s", len(locked), KEY_FILE)
    return library


async def _launcher(stack: contextlib.AsyncExitStack) -> tuple[Launcher | None, Spawn]:
    """The parent process of all children, which lets none outlive us, None where the system has no such thing; and how
    a child is started."""
    if sys.platform != "linux":
        return None, process.spawn
    launcher = Launcher()
    stack.push_async_callback(launcher.close)
    await launcher.open()
    return launcher, launcher.spawn


async def _recovered(stack: contextlib.AsyncExitStack, replica: Replica, workshop: Workshop, tools: Tools) -> Backups:
    """What an earlier daemon left half done is settled, the data of apps before the operations on them."""
    await settle(workshop.fleet.ground)
    backups = await stack.enter_async_context(open_backups(replica, workshop, tools))
    await workshop.recover()
    return backups


def _logs(stack: contextlib.AsyncExitStack, config: Config) -> Logs:
    """Everybody's, the daemon's own among them."""
    logs = Logs(lambda app_id: _folder(config, app_id) / "logs", config.log_bytes)
    stack.push_async_callback(logs.close)
    stack.enter_context(diary.kept(logs, SERVICE_ID))
    return logs


def _folder(config: Config, app_id: str) -> Path:
    """Where what is said, asked and measured of an app lies, and of the control plane."""
    return config.data / SERVICE_ID if app_id == SERVICE_ID else config.apps / app_id


@asynccontextmanager
async def _replica(
    config: Config, corner: Corner, arrival: Arrival, ground: Ground, launcher: Launcher | None
) -> AsyncIterator[Replica]:
    """What is kept of apps elsewhere. It ends after the apps, or once another host has recovered this one."""
    kept, waits = (config.point_in_time_days, config.points_kept), config.replicated_seconds
    superseded = arrival.epochs.superseded is not None
    whither = Whither(arrival.objects, arrival.epochs.number, config.database, *kept, waits, superseded)
    show = launcher.show if launcher is not None and ground.as_root else None
    means = Means(launcher.spawn if launcher is not None else process.spawn, show, ground.starter.cgroups)
    async with open_replica(ground, whither, corner.root / "litestream", means) as replica:
        arrival.epochs.on_superseded.append(lambda error: replica.replication.abandon(error.message))
        yield replica


def _cgroups(stack: contextlib.AsyncExitStack, corner: Corner) -> Cgroups | None:
    """The apps' limits, where this system lets us set any; what a killed daemon left in them ends here."""
    if sys.platform != "linux":
        return None
    try:
        cgroups = open_cgroups(corner.root.name)
    except SteadyError as error:
        logger.warning("apps run without limits on memory, cpu and processes: %s", error.message)
        return None
    stack.callback(cgroups.close)
    return cgroups


def _nurse(stack: contextlib.AsyncExitStack, launcher: Launcher | None, starter: Starter, config: Config) -> None:
    """Keep zygotes ready for whoever is woken, where there can be any."""
    if launcher is None or starter.cgroups is None or not starter.sandboxed or os.geteuid() != 0:
        return
    limits: dict[Tier, AppLimits] = {"accounts": config.policy.settings(Choices(), Choices(), Kind.USER).limits}
    if config.guests:
        limits["guests"] = config.policy.settings(Choices(), Choices(), Kind.GUEST).limits
    nursery = Nursery(starter.engine, starter.runtime, launcher, starter.cgroups, starter.networks, limits)
    starter.nursery = nursery
    stack.callback(nursery.close)
    stack.callback(asyncio.create_task(nursery.run()).cancel)


def _timing(config: Config) -> Timing:
    return Timing(
        config.start_seconds, config.hold_seconds, config.drain_seconds, config.grace_seconds, config.freeze_seconds,
        config.waiters,
    )  # fmt: skip


async def _networks(
    stack: contextlib.AsyncExitStack, spawn: Spawn, logs: Logs, library: Library, neighbours: Neighbours
) -> Networks:
    """The apps' networks, with a few ready. They are closed after the last instance."""
    plumbing = Plumbing(spawn, PLUMBER_UID if os.geteuid() == 0 else None)
    stack.push_async_callback(plumbing.close)
    await plumbing.open()
    networks = Networks(plumbing, logs)
    stack.push_async_callback(neighbours.close)
    networks.targets, networks.open_door = await library.targets.everything(), neighbours.open
    stack.callback(networks.close)
    stack.callback(asyncio.create_task(networks.run()).cancel)
    return networks


def _notices(stack: contextlib.AsyncExitStack, config: Config, ground: Ground) -> Notices:
    """Who tells owners, and the operator when the disk fills up."""
    logs, name = ground.logs, socket.gethostname()
    people = ground.library.people
    notices = Notices(ground.apps, people, ground.urls, Post(), name, lambda app, text: logs.say(app, 0, text))
    stack.push_async_callback(notices.close)
    watching = hostdisk.watch(config.data, partial(notices.host_happened, "host_disk"))
    stack.callback(asyncio.create_task(watching).cancel)
    return notices


def _fleet(
    stack: contextlib.AsyncExitStack,
    config: Config,
    ground: Ground,
    notices: Notices,
    ring: RequestRing,
    on_routes: Callable[[Routes], None],
) -> tuple[Fleet, Scheduler]:
    """Who runs the apps, and who asks them by the clock. Both hear what happens to an app, and so do its owner's
    notices."""

    def happened(app_id: str, event: Event) -> None:
        notices.happened(app_id, event)
        crons.poke()

    fleet = Fleet(ground, on_routes, happened)
    records, log = ground.library.crons, partial(_log_errand, ring)
    errands = Errands(fleet.runtime, ground.urls.app, log, ground.logs.say, records.key, config.cron_seconds)
    crons = Scheduler(records, errands.run, fleet.note)
    stack.push_async_callback(fleet.close)
    stack.push_async_callback(crons.close)
    return fleet, crons


async def _start_work(
    stack: contextlib.AsyncExitStack,
    workshop: Workshop,
    telemetry: Telemetry,
    sampler: Sampler,
    crons: Scheduler,
    epochs: Epochs,
) -> None:
    """The daemon's loops, until its end. Once another host has recovered this one, nothing runs here any more: where
    that is known already, this waits for it."""
    fleet, quota, collection = workshop.fleet, workshop.quota, Collection(workshop.fleet, workshop.removal)
    stopping: set[asyncio.Task[None]] = set()
    epochs.on_superseded.append(lambda error: stopping.add(asyncio.create_task(fleet.close(farewell()))))
    epochs.on_superseded.append(lambda error: stopping.add(asyncio.create_task(workshop.previews.close())))
    if epochs.superseded is not None:
        await fleet.close(farewell())
    stack.push_async_callback(sampler.close)
    loops = (fleet.run(), telemetry.run(), sampler.run(), quota.run(), crons.run(), collection.run(), epochs.run())
    for work in loops:
        stack.callback(asyncio.create_task(work).cancel)


def _rooms(
    stack: contextlib.AsyncExitStack,
    config: Config,
    metrics: Metrics,
    backups: Backups,
    hearing: tuple[Notices, Scheduler],
    workshop: Workshop,
) -> Rooms:
    """What the control plane is given. `hearing` is who hears what happens to an app."""
    (notices, crons), fleet = hearing, workshop.fleet
    ground = fleet.ground
    passwords = Passwords()
    stack.callback(passwords.close)
    return Rooms(
        library=ground.library,
        requests=metrics.requests,
        metrics=metrics,
        logs=ground.logs,
        fleet=fleet,
        workshop=workshop,
        notices=notices,
        urls=ground.urls,
        guests=config.guests,
        signup=config.signup,
        passwords=passwords,
        host_name=socket.gethostname(),
        databases=Databases(ground, workshop.trials.tools),
        crons=crons,
        backups=backups,
        changed=backups.changed,
        body_bytes_max=config.request_body_bytes,
        env_value_bytes=config.env_value_bytes,
        creations=RateLimit(config.creations_per_hour, "apps made"),
        logins=RateLimit(config.log_ins_per_hour, "log-ins"),
        signups=RateLimit(config.signups_per_hour, "sign-ups"),
    )


def _log_errand(ring: RequestRing, told: Told) -> None:
    """A request of our own stands in the app's request log, as from a client with a word for its address."""
    times = (told.began, told.gate_seconds, told.total_seconds - told.gate_seconds, told.total_seconds)
    began, gate, upstream, total = (int(seconds * 1e6) for seconds in times)
    words = (told.app_id, told.method, told.path, told.client, told.request_id, told.error)
    app_id, method, path, client, request_id, error = (word.encode() for word in words)
    sizes, names = (0, told.answer_bytes), (app_id, method, path, client, request_id, error)
    ring.write((began, gate, upstream, total), sizes, told.version, told.status, names)


async def _listen(
    stack: contextlib.AsyncExitStack, config: Config, doors: Sequence[tuple[Listener, list[socket.socket]]]
) -> None:
    for listener, sockets in doors:
        await listener.open_sockets(sockets)
        stack.push_async_callback(listener.close, min(config.drain_seconds, STOP_SECONDS_MAX))
    if config.private_listen:
        _, [private] = doors[1]
        print(f"private API     http://{Address(*private.getsockname()[:2])}", flush=True)


def _set_routes(
    listener: Listener, private: Listener, neighbours: Neighbours, control: ControlPlane, urls: Urls, routes: Routes
) -> None:
    """New tables, whole."""
    neighbours.set_routes((app.owner_id, app.name, app) for app in routes.apps.values())
    services: dict[str, Service] = {**routes.apps, **routes.previews, urls.control_domain: control}
    is_local = urls.control_domain == "localhost"
    told = urls.abuse_contact, urls.abuse
    listener.routes = RouteTable(services, control, urls.control, is_local, moved=routes.moved, abuse=told)
    private.routes = RouteTable({}, control, urls.control, only_control=True)


async def _introduce(config: Config, people: People, operator: Principal, urls: Urls) -> None:
    """Tell the person who started us how to get in: token and URL as files, and a link that logs in once."""
    write_private(config.url_file, urls.control)
    if not config.operator_token.exists():
        write_private(config.operator_token, await people.add_token(operator, "operator.token", time.time()))
    link = await people.add_login_link(operator, time.time())
    print(f"control plane   {urls.control}", flush=True)
    print(f"log in once at  {urls.control}/login/{link}", flush=True)
