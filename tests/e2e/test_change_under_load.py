"""Promise 2 with everybody about: writers, an event stream and a WebSocket, while versions come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.crowd import SOURCE, Crowd, files
from tests.served import Daemon, data_folder, remove, until

DEPLOYS, ROLLBACKS = 12, 3


@pytest.fixture
def own_daemon() -> Iterator[Daemon]:
    data = data_folder()
    made = Daemon(data)
    try:
        yield made
    finally:
        made.kill()
        remove(data)


@pytest.mark.slow
def test_deploys_and_rollbacks_lose_nothing_of_anybody(own_daemon: Daemon) -> None:
    """`python -m bench.change` does the same with 200 and 50, and measures how long requests are held."""
    own_daemon.create("busy", {"index.ts": SOURCE, **files(1)})
    changes: list[tuple[str, dict[str, Any]]] = []
    for number in range(DEPLOYS):
        changes.append(("deploys", {"merge": True, "files": files(number + 2)}))
        if number % (DEPLOYS // ROLLBACKS) == 0:
            changes.append(("rollback", {"version": number + 1}))
    crowd = Crowd(own_daemon, "busy")
    assert asyncio.run(crowd.around(changes)) == [201] * len(changes)
    assert crowd.failures == []
    assert Counter(crowd.kept()) == Counter(crowd.acknowledged)
    assert len(crowd.acknowledged) > 100
    assert crowd.streams.keys() == {"whole"}, "each ends with a complete last chunk"
    assert crowd.sockets.keys() == {1012}
    assert min(crowd.streams["whole"], crowd.sockets[1012]) > len(changes) / 2, "and comes back"
    assert until(crowd.held_ms)[-1] < 10_000
