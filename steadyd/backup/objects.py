"""The one door to the object store: a bucket, or a folder that behaves like one.

Every call has a deadline and so many attempts, with a pause of random length between; every attempt is counted for its
app. What a store answers is turned into two errors here: `replica_away`, where trying again may help, and
`replica_refused`, where it does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from steadyd.backup import layout
from steadyd.backup.tally import Tally
from steadyd.backup.target import Target, TargetKind
from steadyd.backup.trouble import Trouble, away, reason, refused, trouble, unfit
from steadyd.errors import SteadyError

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential

CALLS_AT_ONCE_MAX = 16
GET_BYTES_MAX = 64 << 20
"""Read at once into memory; what is larger is fetched to a file."""
ENTRIES_MAX = 1_000_000
"""Listed under one prefix."""
PAUSE_SECONDS_MAX = 2.0
"""Between two attempts."""
CHUNK_BYTES = 1 << 20
COPY_BYTES = 1 << 30
"""Asked of the kernel at once."""
PART_BYTES = 8 << 20
"""Of an upload in parts: S3 takes 5 MiB to 5 GiB, and 10,000 of them."""
RATE_BYTES_MIN = 64 << 10
"""A second: slower than this, an upload is given up and tried again."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing. `modified` is in seconds since 1970."""

    key: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call may take: attempts, and seconds for each until it answers or, once it does, goes on."""

    attempts_max: int = 3
    answer_seconds_max: float = 15.0


class Objects:
    """All objects below one target. Every method raises `replica_away` or `replica_refused`; who writes, also what it
    is `sealed` with."""

    def __init__(self, target: Target, patience: Patience = Patience()) -> None:
        self.target = target
        self.tally = Tally()
        self.sealed: SteadyError | None = None
        """Why nothing is written any more: what every call says that would."""
        self._patience = patience
        self._store = _open(target)
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE_MAX)

    async def put(self, key: str, content: bytes, *, app_id: str = "") -> None:
        """An object with this content, in the place of another of that key."""
        self._may_write()
        seconds = self._upload_seconds(len(content))
        await self._ask(app_id, lambda: self._put(key, content, "overwrite"), seconds)

    async def create(self, key: str, content: bytes, *, app_id: str = "") -> bool:
        """The same, if there is no object of that key: False if there is one. After an attempt whose answer was lost,
        that one may be ours."""
        self._may_write()
        try:
            seconds = self._upload_seconds(len(content))
            await self._ask(app_id, lambda: self._put(key, content, "create"), seconds)
        except FileExistsError:
            return False
        return True

    async def put_file(self, key: str, path: Path, *, link: bool = False, app_id: str = "") -> None:
        """An object with the content of a file. With `link`, a folder may take a hard link: for what never changes.

        Raises:
            OSError: the file cannot be read.
        """
        self._may_write()
        if link and await self._link(path, key):
            self.tally.add(app_id)
            return
        size = (await asyncio.to_thread(path.stat)).st_size
        await self._ask(app_id, lambda: self._put(key, path, "overwrite"), self._upload_seconds(size))

    async def get(self, key: str, offset: int = 0, length: int | None = None, *, app_id: str = "") -> bytes | None:
        """The content, or what there is of it from `offset` on; None if there is no such object."""

        async def call() -> bytes:
            if length is not None:
                return bytes(await obstore.get_range_async(self._store, key, start=offset, length=max(length, 1)))
            options: Any = {"range": {"offset": offset}} if offset else {}
            answer = await obstore.get_async(self._store, key, options=options)
            if answer.meta["size"] - offset > GET_BYTES_MAX:
                raise refused(str(self.target), f"{key} is larger than {GET_BYTES_MAX >> 20} MiB")
            return bytes(await answer.bytes_async())

        try:
            found = await self._ask(app_id, call, self._patience.answer_seconds_max)
        except FileNotFoundError:
            return None
        except EOFError:
            return b""
        return found[:length]

    async def fetch(self, key: str, path: Path, *, lasting: bool = True, app_id: str = "") -> bool:
        """The content as a file, which is there whole or not at all; False if there is no such object. One that is not
        `lasting` may be read by everybody who gets there, and a crash of the machine may take it.

        Raises:
            OSError: the file cannot be written.
        """
        if (
            not lasting
            and self.target.kind is TargetKind.FILE
            and await asyncio.to_thread(_copy, self._path(key), path)
        ):
            self.tally.add(app_id)
            return True
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        part.touch(mode=0o600, exist_ok=False)
        try:
            await self._ask(app_id, lambda: self._download(key, part), None)
            if lasting:
                await asyncio.to_thread(_settle, part, path)
            else:
                part.chmod(0o644)
                os.replace(part, path)
        except FileNotFoundError:
            return False
        finally:
            part.unlink(missing_ok=True)
        return True

    async def list(self, prefix: str, *, app_id: str = "") -> list[Entry]:
        """Every object below the folder `prefix`, by key."""

        async def call() -> list[Entry]:
            found: list[Entry] = []
            pages = obstore.list(self._store, prefix, chunk_size=1_000).__aiter__()
            while True:
                try:
                    async with asyncio.timeout(self._patience.answer_seconds_max):
                        page = await anext(pages)
                except StopAsyncIteration:
                    return sorted(found, key=lambda entry: entry.key)
                found += [Entry(meta["path"], meta["size"], meta["last_modified"].timestamp()) for meta in page]
                if len(found) > ENTRIES_MAX:
                    raise refused(str(self.target), f"more than {ENTRIES_MAX:,} objects below {prefix}")

        try:
            return await self._ask(app_id, call, None)
        except FileNotFoundError:
            return []

    async def copy(self, source: str, target: str, *, app_id: str = "") -> bool:
        """The object `source` once more, as `target`, without its content passing through here; False if there is no
        `source`. A folder gets a hard link: objects are never written in place."""
        self._may_write()
        if self.target.kind is TargetKind.FILE and await self._link(self._path(source), target):
            self.tally.add(app_id)
            return True
        try:
            await self._ask(app_id, lambda: obstore.copy_async(self._store, source, target), self._seconds)
        except FileNotFoundError:
            return False
        return True

    async def delete(self, keys: Sequence[str], *, app_id: str = "") -> None:
        """These objects go; one that is not there is no error."""
        self._may_write()
        if self.target.kind is TargetKind.S3 and keys:
            await self._ask(app_id, lambda: obstore.delete_async(self._store, list(keys)), self._seconds)
            return
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                await self._ask(app_id, partial(obstore.delete_async, self._store, key), self._seconds)

    async def check(self) -> None:
        """Try all that backups need: write, create only where nothing is, read, delete.

        Raises:
            SteadyError: `replica_away`, `replica_refused`; `replica_unfit` where a conditional write is none.
        """
        key = layout.probe(secrets.token_hex(8))
        await self.put(key, b"a probe of steadyd")
        created = await self.create(key, b"another")
        await self.delete([key])
        if created:
            raise unfit(str(self.target))

    # Private

    def _may_write(self) -> None:
        if self.sealed is not None:
            raise self.sealed

    @property
    def _seconds(self) -> float:
        return self._patience.answer_seconds_max

    def _upload_seconds(self, size: int) -> float:
        return self._patience.answer_seconds_max + size / RATE_BYTES_MIN

    async def _ask(self, app_id: str, call: Callable[[], Awaitable[T]], seconds: float | None) -> T:
        """The answer of `call`, in so many attempts of so many seconds each (None: the call looks after itself).

        Raises:
            SteadyError: `replica_away`, `replica_refused`.
            FileNotFoundError, FileExistsError, EOFError: the store says no, and means the object.
        """
        why = ""
        for attempt in range(self._patience.attempts_max):
            if attempt:
                await asyncio.sleep(random.uniform(0.05, min(PAUSE_SECONDS_MAX, 0.2 * 2**attempt)))
            async with self._turns:
                self.tally.add(app_id)
                try:
                    async with asyncio.timeout(seconds):
                        return await call()
                except TimeoutError:
                    why = f"no answer in {self._patience.answer_seconds_max:g} s"
                except (BaseError, FileNotFoundError, PermissionError) as error:
                    why = self._sorted_out(error)
        raise away(str(self.target), why)

    def _sorted_out(self, error: Exception) -> str:
        """Why it may go better next time; raises where it does not."""
        text = str(error)
        meaning = trouble(type(error).__name__, text)
        if meaning is Trouble.ABSENT:
            raise FileNotFoundError(text.partition("\n")[0]) from None
        if meaning is Trouble.EXISTS:
            raise FileExistsError(text.partition("\n")[0]) from None
        if meaning is Trouble.BEYOND:
            raise EOFError from None
        if meaning is Trouble.REFUSED:
            raise refused(str(self.target), reason(text)) from None
        return reason(text)

    async def _put(self, key: str, content: bytes | Path, mode: Any) -> None:
        await obstore.put_async(self._store, key, content, mode=mode, chunk_size=PART_BYTES, max_concurrency=4)
        if self.target.kind is TargetKind.FILE:
            await asyncio.to_thread(_sync, self._path(key))

    async def _download(self, key: str, part: Path) -> None:
        async with asyncio.timeout(self._seconds) as deadline:
            answer = await obstore.get_async(self._store, key)
            loop = asyncio.get_running_loop()
            with part.open("wb") as file:
                async for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                    await asyncio.to_thread(file.write, chunk)
                    deadline.reschedule(loop.time() + self._seconds)

    def _path(self, key: str) -> Path:
        if ".." in key.split("/") or key.startswith("/"):
            raise ValueError(f"{key!r} is no key")
        return self.target.path / key

    async def _link(self, source: Path, key: str) -> bool:
        """Whether `key` became a hard link to `source`. Otherwise it must be copied, or is not there."""
        if self.target.kind is not TargetKind.FILE:
            return False
        try:
            await asyncio.to_thread(_link, source, self._path(key))
        except OSError:
            return False
        return True


# Private


def _open(target: Target) -> LocalStore | S3Store:
    if target.kind is TargetKind.FILE:
        try:
            target.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise refused(str(target), (error.strerror or str(error)).lower()) from None
        return LocalStore(target.path)
    config: S3Config = {"region": target.region, "virtual_hosted_style_request": False}
    if target.endpoint:
        config["endpoint"] = target.endpoint
    keys: S3Credential = {"access_key_id": target.key_id, "secret_access_key": target.secret, "expires_at": None}
    if target.token:
        keys["token"] = target.token
    return S3Store(
        target.bucket,
        prefix=target.prefix or None,
        config=config,
        # Deadlines and attempts are ours, above: there each attempt is counted.
        client_options={"allow_http": target.endpoint.startswith("http:"), "connect_timeout": "5s", "timeout": "1h"},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
        # Else it would look for others in the environment, and ask the cloud's metadata.
        credential_provider=lambda: keys,
    )


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A listing leaves out names that end in “#” and digits, so nobody sees this one.
    part = target.with_name(f"{target.name}#{secrets.randbits(32)}")
    os.link(source, part, follow_symlinks=False)
    try:
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _copy(source: Path, path: Path) -> bool:
    """Copied by the kernel, or shared where the file system does that; False if it cannot, or there is no source."""
    try:
        with source.open("rb") as file, path.open("xb") as target:
            while os.copy_file_range(file.fileno(), target.fileno(), COPY_BYTES):
                pass
            os.fchmod(target.fileno(), 0o644)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True


def _settle(part: Path, path: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    _sync_folder(path.parent)


def _sync(path: Path) -> None:
    """On the disk, and not only promised: a name that survives a power cut without its content would be taken for a
    whole object for ever."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        os.fsync(file.fileno())
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
