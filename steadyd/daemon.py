"""The composition root: builds every room, starts them in order, stops them in reverse. Only this room knows all."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from steadyd.config import Config, runtime_parent
from steadyd.control import SERVICE_ID, ControlPlane
from steadyd.errors import SteadyError
from steadyd.model import Principal
from steadyd.proxy.collector import settle_collector
from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.limits import Limits
from steadyd.proxy.listener import Listener
from steadyd.proxy.ring import RequestRing
from steadyd.proxy.service import Service
from steadyd.records.apps import Apps
from steadyd.records.journal import Journal
from steadyd.records.people import People
from steadyd.records.requests import Requests
from steadyd.records.schema import STEADY
from steadyd.runner import engine, sandbox
from steadyd.runner.app import Timing
from steadyd.runner.blobs import Blobs
from steadyd.runner.candidate import Trials
from steadyd.runner.deploy import Deployer
from steadyd.runner.fleet import UID_FIRST, Fleet, Ground, Routes
from steadyd.runner.install import Installer
from steadyd.runner.logs import Logs
from steadyd.runner.process import keep_descriptors
from steadyd.runner.start import Starter
from steadyd.runner.tool import Tools, probe
from steadyd.store import Database
from steadyd.telemetry import Telemetry
from steadyd.urls import Urls
from steadyd.web.app import build
from steadyd.web.rooms import Rooms

STOP_SECONDS_MAX = 12.0
"""For draining, of the 15 s in which a stop must be done."""
SWITCH_INTERVAL_SECONDS = 0.0005
"""Threads (log, telemetry, database) give the interpreter back to the loop after this."""

logger = logging.getLogger("steadyd")


def serve(config: Config) -> int:
    """Run the daemon until it is told to stop; returns the exit code.

    Raises:
        SteadyError: `cannot_start` and its kin, with one sentence that says what to do.
    """
    return uvloop.run(_serve(config))


@dataclass(frozen=True, slots=True)
class Corner:
    """Short-lived files: `instances` for the apps' sockets, `control` for ours, which no app can enter."""

    root: Path

    @property
    def instances(self) -> Path:
        return self.root / "i"

    @property
    def control(self) -> Path:
        return self.root / "control" / "control.sock"


async def _serve(config: Config) -> int:
    keep_descriptors()
    stopping = _on_signals()
    with _data_folder(config), _runtime_folder(config) as corner:
        async with _running(config, corner) as ready_line:
            sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
            settle_collector()
            print(ready_line, flush=True)
            await stopping.wait()
            print("steadyd stopping", flush=True)
    return 0


@asynccontextmanager
async def _running(config: Config, corner: Corner) -> AsyncIterator[str]:
    """Everything, from the store to the open listener; what is left of the stop's time bounds each closing step."""
    async with contextlib.AsyncExitStack() as stack:
        database = Database(config.database, STEADY)
        stack.callback(database.close)
        people, apps, journal = People(database), Apps(database), Journal(database)
        operator = await people.operator(time.time())
        built = engine.prepare(config.data / "engine")
        sandboxed = await _sandbox_works(config, built)

        listener = Listener(RouteTable(), ring := RequestRing(), Limits(body_bytes_max=config.request_body_bytes))
        sockets = _bind(config)
        urls = Urls(config.app_domain, config.control_domain, sockets[0].getsockname()[1], config.public_url)
        control = ControlPlane(corner.control, config.request_body_bytes)

        logs = Logs(lambda app_id: config.apps / app_id / "logs", config.log_bytes)
        stack.push_async_callback(logs.close)
        requests = Requests(lambda app_id: config.data / SERVICE_ID if app_id == SERVICE_ID else config.apps / app_id)
        telemetry = Telemetry(ring, requests)
        stack.push_async_callback(telemetry.close)

        ground = Ground(
            folder=config.apps,
            blobs=Blobs(config.blobs),
            apps=apps,
            journal=journal,
            logs=logs,
            starter=Starter(built, corner.instances, logs, sandboxed),
            urls=urls,
            timing=Timing(config.start_seconds, config.hold_seconds, config.drain_seconds, config.grace_seconds),
            idle_seconds=config.idle_seconds,
            as_root=os.geteuid() == 0,
            forget=requests.forget,
            only_owner="" if sandboxed else operator.id,
        )
        fleet = Fleet(ground, lambda routes: _set_routes(listener, routes, control, urls))
        stack.push_async_callback(fleet.close)
        tools = Tools(built, sandboxed)
        deployer = Deployer(fleet, Installer(tools), Trials(fleet, tools))
        stack.push_async_callback(deployer.close)
        await deployer.recover()
        await fleet.load()

        rooms = Rooms(
            apps=apps,
            people=people,
            journal=journal,
            requests=requests,
            logs=logs,
            fleet=fleet,
            deployer=deployer,
            urls=urls,
            guests=config.guests and sandboxed,
            host_name=socket.gethostname(),
            body_bytes_max=config.request_body_bytes,
        )
        await control.open(build(rooms))
        stack.push_async_callback(control.close)
        for work in (fleet.run(), telemetry.run()):
            stack.callback(asyncio.create_task(work).cancel)
        await listener.open_sockets(sockets)
        stack.push_async_callback(listener.close, min(config.drain_seconds, STOP_SECONDS_MAX))
        await _introduce(config, people, operator, urls)
        yield f"steadyd ready on http://{config.listen.host}:{urls.port}"


# Private


def _on_signals() -> asyncio.Event:
    """SIGTERM and Ctrl-C only set a flag; the second one ends the process at once."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stopping


@contextmanager
def _data_folder(config: Config) -> Iterator[None]:
    """The data folder, locked: two daemons must never share one."""
    try:
        config.data.mkdir(parents=True, exist_ok=True)
        # Apps' uids pass through to their own corners; they cannot list.
        config.data.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (config.apps, config.blobs, config.data / "engine", config.data / SERVICE_ID):
            folder.mkdir(mode=0o711, exist_ok=True)
        lock = os.open(config.data / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise SteadyError(
            "cannot_start", f"{config.data} cannot be used: {error.strerror}. Choose another --data."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise SteadyError(
            "cannot_start", f"Another steadyd uses {config.data}. Stop it, or choose another --data."
        ) from None
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _runtime_folder(config: Config) -> Iterator[Corner]:
    """A short path for sockets (unix(7): 108 bytes), empty at each start; the data folder's lock guards it too."""
    digest = hashlib.sha256(os.fsencode(config.data.resolve())).hexdigest()[:8]
    parent = runtime_parent()
    corner = Corner(parent / f"steadyd-{digest}")
    parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    if parent.lstat().st_uid != os.geteuid():
        raise SteadyError(
            "cannot_start", f"{parent} belongs to somebody else. Set XDG_RUNTIME_DIR to a folder of yours."
        )
    shutil.rmtree(corner.root, ignore_errors=True)
    corner.instances.mkdir(mode=0o711, parents=True)
    corner.control.parent.mkdir(mode=0o700)
    try:
        yield corner
    finally:
        shutil.rmtree(corner.root, ignore_errors=True)


async def _sandbox_works(config: Config, built: engine.Engine) -> bool:
    """Decide by really starting a program under the full policy.

    Raises:
        SteadyError: `cannot_start` where the sandbox is required, or the listener is open to others without it.
    """
    if config.sandbox == "off":
        problem = "it is switched off"
    else:
        try:
            await _probe(config, built)
            return True
        except SteadyError as error:
            problem = error.message
    if config.sandbox == "required":
        raise SteadyError("cannot_start", f"--sandbox required: {problem}")
    if not config.listen.is_loopback:
        fix = "Fix the sandbox (see: steadyd doctor) or listen on 127.0.0.1."
        raise SteadyError("cannot_start", f"Without the sandbox steadyd only listens on loopback: {problem} {fix}")
    logger.warning("no sandbox (%s): only the operator's own apps run, guests are off", problem)
    return False


async def _probe(config: Config, built: engine.Engine) -> None:
    uid = UID_FIRST if os.geteuid() == 0 else None
    if uid is not None:
        for folder in (config.data.resolve(), *config.data.resolve().parents):
            if not folder.stat().st_mode & 0o001:
                raise SteadyError("cannot_start", f"Apps cannot pass through {folder}. Run: chmod o+x {folder}")
    folder = config.data / "engine" / "probe"
    folder.mkdir(mode=0o755, exist_ok=True)
    room = sandbox.Room(folder, built.folder, uid, {"PATH": "/usr/bin:/bin"}, folder_read_only=True)
    await probe(Tools(built, sandboxed=True), room)


def _bind(config: Config) -> list[socket.socket]:
    """The listening sockets, bound early so that the port is known before anything is printed."""
    try:
        found = socket.getaddrinfo(
            config.listen.host, config.listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        return [socket.create_server(address[:2], family=family, backlog=4_096)]
    except OSError as error:
        reason = error.strerror or str(error)
        raise SteadyError(
            "cannot_start", f"Cannot listen on {config.listen}: {reason}. Choose another --listen."
        ) from error


def _set_routes(listener: Listener, routes: Routes, control: ControlPlane, urls: Urls) -> None:
    """A new table, whole."""
    services: dict[str, Service] = {**routes, urls.control_domain: control}
    listener.routes = RouteTable(services, control, urls.control, urls.control_domain == "localhost")


async def _introduce(config: Config, people: People, operator: Principal, urls: Urls) -> None:
    """Tell the person who started us how to get in: token and URL as files, and a link that logs in once."""
    _write_private(config.url_file, urls.control)
    if not config.operator_token.exists():
        _write_private(config.operator_token, await people.add_token(operator, "operator.token", time.time()))
    link = await people.add_login_link(operator, time.time())
    print(f"control plane   {urls.control}", flush=True)
    print(f"log in once at  {urls.control}/login/{link}", flush=True)


def _write_private(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
