"""Wrong passwords cost time: for the account that is tried, and for the address that tries. No I/O.

The first few are free; from then on each one doubles a wait, up to a limit, so nobody is locked out for ever. An
attempt counts as wrong from its beginning, or a thousand at once would all be the first one.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from steadyd.errors import SteadyError

ACCOUNT_FREE = 5
ACCOUNT_WAIT_SECONDS_MAX = 60.0
ADDRESS_FREE = 20
ADDRESS_WAIT_SECONDS_MAX = 900.0
WAIT_SECONDS_FIRST = 1.0
FORGET_SECONDS = 3_600.0
"""Without a wrong attempt, after which all is forgotten. Longer than any wait."""
KEYS_MAX = 10_000
"""Accounts, and addresses, that are remembered; past it the one quiet for longest is forgotten."""


@dataclass(slots=True)
class _Tried:
    wrong: int
    last: float


class Backoff:
    """Wrong attempts by key. Times are monotonic seconds."""

    def __init__(self, free: int, wait_seconds_max: float) -> None:
        self._free = free
        self._longest = wait_seconds_max
        self._tried: OrderedDict[str, _Tried] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tried)

    def wait(self, key: str, now: float) -> float:
        """Seconds until `key` may be tried again; 0.0 for now."""
        tried = self._tried.get(key)
        if tried is None or tried.wrong < self._free or now - tried.last >= FORGET_SECONDS:
            return 0.0
        exponent = min(tried.wrong - self._free, 30)
        return max(0.0, tried.last + min(WAIT_SECONDS_FIRST * 2.0**exponent, self._longest) - now)

    def begin(self, key: str, now: float) -> None:
        """One more attempt, wrong until it is undone."""
        tried = self._tried.get(key)
        if tried is None or now - tried.last >= FORGET_SECONDS:
            tried = self._tried[key] = _Tried(0, now)
        tried.wrong, tried.last = tried.wrong + 1, now
        self._tried.move_to_end(key)
        if len(self._tried) > KEYS_MAX:
            self._tried.popitem(last=False)

    def undo(self, key: str) -> None:
        """The attempt was not wrong: it counts no more, but earlier ones do."""
        if (tried := self._tried.get(key)) is not None:
            tried.wrong -= 1

    def forget(self, key: str) -> None:
        """Whoever this is has proven themselves."""
        self._tried.pop(key, None)


class Attempts:
    """Both kinds together: what a log-in asks before it looks at a password."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._accounts = Backoff(ACCOUNT_FREE, ACCOUNT_WAIT_SECONDS_MAX)
        self._addresses = Backoff(ADDRESS_FREE, ADDRESS_WAIT_SECONDS_MAX)

    def begin(self, account: str, address: str, now: float) -> None:
        """An attempt begins. One that has to wait does not count.

        Raises:
            SteadyError: `rate_limited` with the seconds to wait.
        """
        key = self._key(account, address)
        wait = math.ceil(max(self._accounts.wait(key, now), self._addresses.wait(address, now)))
        if wait > 0:
            raise SteadyError("rate_limited", f"Too many wrong passwords. Try again in {wait} s.", retry_after=wait)
        self._accounts.begin(key, now)
        self._addresses.begin(address, now)

    def undo(self, account: str, address: str) -> None:
        """Nobody looked at the password after all."""
        self._accounts.undo(self._key(account, address))
        self._addresses.undo(address)

    def forgive(self, account: str) -> None:
        """The account has another password now."""
        self._accounts.forget(account)

    def right(self, account: str, address: str) -> None:
        """It was the right password. Who knows one may not use it to guess others: the address stays suspect."""
        self._accounts.forget(self._key(account, address))
        self._addresses.undo(address)
        self._known[account, address] = None
        self._known.move_to_end((account, address))
        if len(self._known) > KEYS_MAX:
            self._known.popitem(last=False)

    # Private

    def _key(self, account: str, address: str) -> str:
        """Where somebody logged in before, others' guesses do not make them wait: only those from there count."""
        return f"{account} at {address}" if (account, address) in self._known else account
