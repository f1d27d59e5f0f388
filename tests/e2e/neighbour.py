"""An app beside a hostile one, asked every 100 ms: whatever the other does, this one answers, and soon."""

from __future__ import annotations

import http.client
import threading
import time

from tests.served import Daemon

EVERY_SECONDS = 0.1
P99_SECONDS_MAX = 0.25
ASK_SECONDS_MAX = 5.0
SOURCE = 'export default { fetch: () => new Response("well") };'


class Neighbour:
    """Enter it before the attack; leaving it asserts that no question failed and 99 of 100 were answered in time."""

    def __init__(self, daemon: Daemon, name: str = "neighbour", p99_seconds_max: float = P99_SECONDS_MAX) -> None:
        self._p99_seconds_max = p99_seconds_max
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self._port = daemon.port
        self._host = f"{name}.localhost"
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if daemon.api("GET", f"/apps/{name}").status_code == 404:
            daemon.create(name, {"index.ts": SOURCE})
        self._ask()

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._leaving.set()
        self._thread.join()
        if kind is None:
            assert self.errors == []
            assert self.p99 < self._p99_seconds_max, sorted(self.seconds)[-5:]

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(0.99 * (len(self.seconds) - 1))] if self.seconds else 0.0

    # Private

    def _run(self) -> None:
        due = time.monotonic()
        while not self._leaving.wait(max(0.0, due - time.monotonic())):
            try:
                self._ask()
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.errors.append(repr(error))
            self.seconds.append(time.monotonic() - due)  # from when it was due: a late question counts too
            due = max(due + EVERY_SECONDS, time.monotonic())

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ASK_SECONDS_MAX)
        try:
            connection.request("GET", "/", headers={"Host": self._host})
            answer = connection.getresponse()
            content = answer.read()
            assert (answer.status, content) == (200, b"well"), (answer.status, content)
        finally:
            connection.close()
