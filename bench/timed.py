"""The daemon with a stopwatch on its loop: `python -m bench.timed FILE python -m steadyd serve …`.

Writes one line to FILE for each start of an instance: the milliseconds of the longest stretch for which the loop did
nothing else.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
import types
from collections.abc import Coroutine, Generator
from typing import Any

from steadyd.runner.start import Starter


@types.coroutine
def stretches(work: Coroutine[Any, Any, Any], tell: int) -> Generator[Any, Any, Any]:
    """Await `work`, and time what it does between two of its own waits."""
    longest, step, given = 0.0, work.send, None
    try:
        while True:
            began = time.perf_counter()
            try:
                waits = step(given)
            except StopIteration as end:
                return end.value
            finally:
                longest = max(longest, time.perf_counter() - began)
            try:
                step, given = work.send, (yield waits)
            except BaseException as error:
                step, given = work.throw, error
    finally:
        os.write(tell, b"%.3f\n" % (longest * 1000))


def main() -> None:
    path, _, _, module, *words = sys.argv[1:]
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    start = Starter.start

    async def timed(self: Starter, *given: Any, **named: Any) -> Any:
        return await stretches(start(self, *given, **named), output)

    Starter.start = timed  # type: ignore[method-assign]
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
