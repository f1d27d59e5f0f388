"""The steps of a deploy as they happen: told by the app's events, while another connection waits for the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from steadyd.cli.terminal import milliseconds, note

if TYPE_CHECKING:
    from steadyd.cli.client import Client

STEP = "step"
LISTENING = {"tail": 0, "follow": 1}
ENDS = ("create", "deploy", "rollback", "deploy_failed")
"""Kinds of event that tell how it ended."""
READY_SECONDS_MAX = 2.0
"""That a deploy waits for its events to be heard."""
RETRY_SECONDS = 0.1
"""Until an app that is just being made is there to be followed."""
LAST_WORDS_SECONDS_MAX = 1.0
"""The last events may arrive after the answer."""
NAME_WIDTH = 7


class Steps:
    """Prints each step once, whoever tells it first. Used from two threads."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def told(self, event: dict[str, Any]) -> None:
        """An event of the app; those that are no step say nothing."""
        details = event.get("details")
        if event.get("kind") != STEP or not isinstance(details, dict):
            return
        step = str(details.get("step", ""))
        if details.get("said"):
            note(f"  {step.ljust(NAME_WIDTH)}  {details['said']}")
        elif details.get("state") in ("done", "failed"):
            self.ended({"name": step, "ms": details.get("ms"), "ok": details["state"] == "done"})

    def ended(self, step: dict[str, Any]) -> None:
        """A step as the API shows one that ended."""
        name = str(step.get("name", ""))
        with self._lock:
            if name in self._told:
                return
            self._told.add(name)
            failed = "" if step.get("ok", True) else "  failed"
            note(f"  {name.ljust(NAME_WIDTH)}  {milliseconds(step.get('ms')):>8}{failed}")

    def rest(self, answer: dict[str, Any]) -> None:
        """The steps that an answer names and nobody told yet."""
        deploy = answer.get("deploy")
        for step in (deploy.get("steps") or ()) if isinstance(deploy, dict) else ():
            if isinstance(step, dict):
                self.ended(step)


@contextmanager
def following(client: Client, name: str, steps: Steps) -> Iterator[None]:
    """Tell `steps` what happens to the app meanwhile. Who shows no token may not follow, and hears it at the end."""
    follower = _Follower(client, name, steps)
    if client.has_token(name):
        follower.begin()
    try:
        yield
    finally:
        follower.end()


def tell_what_failed(client: Client, name: str, steps: Steps) -> None:
    """The steps of a deploy that failed, where nobody could follow: an app that never came to be has no events."""
    from steadyd.cli.verb import Failure

    try:
        operations = client.call("GET", "/operations?limit=1", app=name).get("operations") or ()
    except Failure:
        return
    for operation in operations:
        for step in operation.get("steps") or () if operation.get("app") == name else ():
            steps.ended(step)


# Private


class _Follower:
    """A thread that listens. What it tells, the answer says once more: whatever goes wrong here is no failure."""

    def __init__(self, client: Client, name: str, steps: Steps) -> None:
        self._client = client
        self._name = name
        self._steps = steps
        self._ready = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Returns once nothing that happens from now on is missed, or there is no app yet."""
        self._thread.start()
        self._ready.wait(READY_SECONDS_MAX)

    def end(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(LAST_WORDS_SECONDS_MAX)

    def _run(self) -> None:
        from steadyd.cli.client import Refused, app_path

        path, late = app_path(self._name, "/events"), False
        while not self._over.is_set():
            try:
                for event in self._client.stream(path, LISTENING, self._name, opened=self._opened(late)):
                    self._steps.told(event)
                    if event.get("kind") in ENDS:
                        break
                return
            except Refused as refusal:
                if refusal.status != 404:
                    return
                late = True
                self._over.wait(RETRY_SECONDS)
            except Exception:
                return
            finally:
                self._ready.set()

    def _opened(self, late: bool) -> Callable[[], None]:
        """What is done once the events come: who comes late asks what they missed."""

        def opened() -> None:
            self._ready.set()
            for step in self._missed() if late else ():
                self._steps.ended(step)

        return opened

    def _missed(self) -> list[dict[str, Any]]:
        from steadyd.cli.client import app_path

        answer = self._client.call("GET", app_path(self._name, "/operations?limit=1"), app=self._name)
        return [step for operation in answer.get("operations") or [] for step in operation.get("steps") or []]
