"""Being told to stop: the first signal asks for an orderly end, the second ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal

EXIT_AT_ONCE = 1


def on_signals(*numbers: signal.Signals) -> asyncio.Event:
    """An event that the first of the signals sets. The handler only sets it: the loop acts at its own pace."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(EXIT_AT_ONCE)
        stopping.set()

    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stopping
