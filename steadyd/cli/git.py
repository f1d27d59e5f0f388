"""The git commit that a folder stands at, asked of git itself; a folder that is none of git's has no commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from steadyd.model import Commit, without_credentials

GIT_SECONDS_MAX = 5.0
WORDS = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C")


def commit_at(folder: Path) -> Commit | None:
    """Where the folder stands, or None: no repository, no commit yet, or no git on this machine."""
    commit = _ask(folder, "rev-parse", "--verify", "HEAD^{commit}")
    if not commit:
        return None
    remote = _ask(folder, "config", "--get", "remote.origin.url") or ""
    changes = _ask(folder, "status", "--porcelain", "--", ".")
    return Commit(commit, without_credentials(remote), changes != "")


# Private


def _ask(folder: Path, *words: str) -> str | None:
    """What git answers; None if it fails, or takes too long."""
    try:
        done = subprocess.run(
            [*WORDS, str(folder), *words], capture_output=True, timeout=GIT_SECONDS_MAX, check=False, text=True,
            errors="replace", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
