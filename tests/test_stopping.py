"""Being told to stop, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, signal
from steadyd.stopping import on_signals

async def main():
    stopping = on_signals(signal.SIGTERM, signal.SIGINT)
    print("up", flush=True)
    await stopping.wait()
    print("stopping", flush=True)
    if {linger}:
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_ends_at_once(number: signal.Signals) -> None:
    for linger in (False, True):
        command = [sys.executable, "-c", PROGRAM.format(linger=linger)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            process.send_signal(number)
            assert process.stdout.readline() == "stopping\n"
            if linger:
                process.send_signal(number)
            assert process.wait(timeout=10) == (1 if linger else 0)
