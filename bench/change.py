"""Changes under load: how long requests are held while versions come and go, with everybody about.

    python -m bench.change [DEPLOYS] [ROLLBACKS]

200 deploys and 50 rollbacks of an app with a database, with 16 writers, one event stream and one WebSocket. Prints how
many requests there were and failed, whether each acknowledged row is there once, how streams and sockets ended, how
long a call took, and how long requests waited at the gate. The exit code is 1 if anything was lost or a bar is missed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import Counter
from typing import Any

from bench.isolation import bar
from tests.e2e.crowd import SOURCE, WRITERS, Crowd, files
from tests.served import Daemon, data_folder, remove

HELD_MS_MAX = 150.0


def plan(deploys: int, rollbacks: int) -> list[tuple[str, dict[str, Any]]]:
    """The calls: rollbacks spread evenly, each to the version before."""
    changes: list[tuple[str, dict[str, Any]]] = []
    for number in range(deploys):
        changes.append(("deploys", {"merge": True, "files": files(number + 2)}))
        if rollbacks and number % (deploys // rollbacks) == 0:
            changes.append(("rollback", {"version": number + 1}))
    return changes


def main() -> int:
    deploys, rollbacks = (int(word) for word in (*sys.argv[1:], "200", "50")[:2])
    changes, data = plan(deploys, rollbacks), data_folder()
    daemon = Daemon(data)
    try:
        daemon.create("busy", {"index.ts": SOURCE, **files(1)})
        crowd = Crowd(daemon, "busy")
        began = time.monotonic()
        statuses = Counter(asyncio.run(crowd.around(changes)))
        took = time.monotonic() - began
        time.sleep(2.0)  # the last requests reach the log
        held, lost = crowd.held_ms(), Counter(crowd.acknowledged) - Counter(crowd.kept())
        doubled = Counter(crowd.kept()) - Counter(crowd.acknowledged)
    finally:
        daemon.stop()
        remove(data)
    print(f"{len(changes)} changes in {took:.0f} s, answers {dict(statuses)}; {WRITERS} writers")
    print(f"requests: {len(crowd.acknowledged)} acknowledged, {len(crowd.failures)} failed; rows lost {len(lost)},"
          f" doubled {len(doubled)}")  # fmt: skip
    print(f"event streams ended {dict(crowd.streams)}, WebSockets closed {dict(crowd.sockets)}")
    p99 = statistics.quantiles(held, n=100)[98] if len(held) > 1 else 0.0
    print(
        f"held: {len(held)} requests, p50 {statistics.median(held):.0f} ms, p99 {p99:.0f} ms, longest {held[-1]:.0f} ms"
    )
    whole = not crowd.failures and not lost and not doubled and set(statuses) == {201}
    return bar("held p99", p99, HELD_MS_MAX, "ms") or int(not whole)


if __name__ == "__main__":
    sys.exit(main())
