"""Passwords as argon2id hashes, made and checked off the event loop, a few at a time.

Parameters: RFC 9106, section 4, the second recommended option (64 MiB of memory, 3 passes).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from steadyd.errors import SteadyError

PASSWORD_BYTES_MIN = 8
PASSWORD_BYTES_MAX = 1_024
HASHES_AT_ONCE_MAX = 2
"""Each takes 64 MiB and a tenth of a second of one processor."""
HASHES_WAITING_MAX = 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a password is right; `again` is its hash by today's parameters where it was stored by others."""

    right: bool
    again: str = ""


class Passwords:
    """The only place that hashes. `close` waits for what is under way."""

    def __init__(self, parameters: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._nobody = _unmatched(parameters)
        self._threads = ThreadPoolExecutor(HASHES_AT_ONCE_MAX, "password")
        self._under_way = 0

    async def hash(self, password: str) -> str:
        """What is stored of a password.

        Raises:
            SteadyError: `invalid` for its length; `overloaded` when HASHES_WAITING_MAX others wait.
        """
        check_password(password)
        return await self._run(lambda: self._hasher.hash(_bytes(password)))

    async def check(self, password: str, stored: str | None) -> Checked:
        """Whether it is the password of `stored`. Without one it is wrong, and takes as long to say so.

        Raises:
            SteadyError: `overloaded` when HASHES_WAITING_MAX others wait.
        """
        return await self._run(lambda: self._check(password, stored))

    def close(self) -> None:
        self._threads.shutdown(wait=True)

    # Private

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= HASHES_AT_ONCE_MAX + HASHES_WAITING_MAX:
            raise SteadyError("overloaded", "Too many people log in at this moment. Try again soon.", retry_after=2)
        self._under_way += 1
        # It counts until it is done, though whoever asked may have left.
        future = asyncio.wrap_future(self._threads.submit(work))
        try:
            return await asyncio.shield(future)
        finally:
            future.add_done_callback(self._done)

    def _done(self, _: asyncio.Future[T]) -> None:
        self._under_way -= 1

    def _check(self, password: str, stored: str | None) -> Checked:
        secret = _bytes(password)
        try:
            self._hasher.verify(stored if stored is not None else self._nobody, secret)
        except (VerificationError, InvalidHashError):
            return Checked(False)
        if stored is None:
            return Checked(False)
        return Checked(True, self._hasher.hash(secret) if self._hasher.check_needs_rehash(stored) else "")


def check_password(password: str) -> str:
    """Return `password` if it may be one. Bytes are counted, in UTF-8.

    Raises:
        SteadyError: `invalid`.
    """
    length = len(_bytes(password))
    if not PASSWORD_BYTES_MIN <= length <= PASSWORD_BYTES_MAX:
        allowed = f"{PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX:,} bytes"
        raise SteadyError("invalid", f"A password has {allowed}; this one has {length}.", {"field": "password"})
    return password


# Private


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _unmatched(parameters: Parameters) -> str:
    """A well-formed hash that no password has, or none that anybody will find."""
    costs = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    salt, digest = "A" * -(-parameters.salt_len * 4 // 3), "A" * -(-parameters.hash_len * 4 // 3)
    return f"$argon2id$v={parameters.version}${costs}${salt}${digest}"
