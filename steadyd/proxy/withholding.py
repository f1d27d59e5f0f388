"""The place where bytes from an instance wait that may tell of what is not safe yet.

One piece waits at a time: reading from the instance is paused meanwhile, so order is kept and memory is bounded.
"""

from __future__ import annotations

import asyncio
from typing import cast

from steadyd.errors import SteadyError
from steadyd.proxy.service import Barrier


class Withholding(asyncio.Protocol):
    """The instance's end of a connection, and the `Waiter` for the piece that came last."""

    __slots__ = ("_barrier", "_full", "_lost", "_piece", "transport")

    def __init__(self) -> None:
        self.transport = cast(asyncio.Transport, None)
        self._barrier: Barrier | None = None
        """Where a piece waits; None if none does."""
        self._piece = b""
        self._full = False
        self._lost = False

    @property
    def withheld(self) -> bool:
        """Whether a piece waits."""
        return self._barrier is not None

    @property
    def late(self) -> SteadyError | None:
        """What to tell of the piece that waits, if it cannot wait any longer; None if none waits."""
        return self._barrier.late() if self._barrier is not None else None

    def pause(self) -> None:
        """The client takes nothing for now."""
        self._full = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """It takes some again."""
        self._full = False
        if self._barrier is None and not self.transport.is_closing():
            self.transport.resume_reading()

    def withhold(self, barrier: Barrier, piece: bytes) -> bool:
        """Keep `piece` if it must not leave yet, or at all; False if it may."""
        try:
            if not barrier.holds(self, len(piece)):
                return False
        except SteadyError as error:
            self.give_up(error)
            return True
        self._barrier, self._piece = barrier, piece
        self.transport.pause_reading()
        return True

    def drop(self) -> None:
        """Whoever it was for has gone."""
        if self._barrier is not None:
            self._barrier.forget(self)
            self._barrier, self._piece = None, b""

    def connection_lost(self, exc: Exception | None) -> None:
        """A paused transport still notices that it cannot write: then what it read before counts first."""
        if self._barrier is not None:
            self._lost = True
        else:
            self.lost()

    # Waiter

    def passed(self) -> None:
        if self._barrier is None:
            return
        piece, self._barrier, self._piece = self._piece, None, b""
        if not self._full and not self.transport.is_closing():
            self.transport.resume_reading()
        self.release(piece)
        if self._lost:
            self.lost()

    def given_up(self, error: SteadyError) -> None:
        if self._barrier is not None:
            self._barrier, self._piece = None, b""
            self.give_up(error)

    # What the ends do

    def release(self, piece: bytes) -> None:
        """Go on with a piece that waited."""
        raise NotImplementedError

    def give_up(self, error: SteadyError) -> None:
        """Nobody may see what came, or what follows."""
        raise NotImplementedError

    def lost(self) -> None:
        """The connection is gone, and all that it brought was read."""
        raise NotImplementedError
