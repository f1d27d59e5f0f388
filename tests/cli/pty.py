"""A command at a terminal of its own, typed to by a test."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

SEEN_SECONDS_MAX = 20.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""So that Ctrl-C reaches it (tty_ioctl(4))."""


class Typed:
    """`steadyd WORDS…` as a person meets it."""

    def __init__(self, *words: str, env: Mapping[str, str] | None = None) -> None:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-c", TAKE_TERMINAL, sys.executable, "-m", "steadyd", *words]
        environ = {**os.environ, **(env or {}), "TERM": "dumb", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True
        )
        os.close(theirs)
        self._terminal = ours
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.seen = ""
        """Everything so far, escapes left out."""
        self._read_to = 0

    def see(self, text: str) -> str:
        """Wait until `text` shows after what was waited for before; returns all between."""
        end = time.monotonic() + SEEN_SECONDS_MAX
        while (at := self.seen.find(text, self._read_to)) < 0:
            in_time = time.monotonic() < end and self._take()
            assert in_time, f"no {text!r} in:\n{self.seen}"
        between = self.seen[self._read_to : at]
        self._read_to = at + len(text)
        return between

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def end(self) -> int:
        """Wait for the exit code."""
        while self._take():
            pass
        return self.process.wait(timeout=SEEN_SECONDS_MAX)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._terminal)

    def _take(self) -> bool:
        """Read what comes within a while; false at the end."""
        ready, _, _ = select.select([self._terminal], [], [], SEEN_SECONDS_MAX)
        if not ready:
            return False
        try:
            piece = os.read(self._terminal, 65_536)
        except OSError:  # EIO: nobody has the other side any more
            return False
        self.seen = ESCAPES.sub("", self.seen + self._decoder.decode(piece))
        return bool(piece)
