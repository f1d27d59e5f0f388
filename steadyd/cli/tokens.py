"""Tokens that servers gave to a guest or a user, kept in the person's config folder for the next command.

One JSON file, mode 0600: `{server: {"user": token, "guest": token, "apps": {name: token}}}`.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKENS_FILE = "tokens.json"
TOKENS_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Tokens:
    """The kept tokens. `folder` is made when something is first kept."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / TOKENS_FILE

    def find(self, server: str, app: str = "") -> str:
        """The token for `app` on `server`, else that of who logged in there, else the last one a guest got, else ""."""
        kept = self._of(server)
        apps = kept.get("apps")
        token = apps.get(app) if isinstance(apps, dict) else None
        return str(token or kept.get("user") or kept.get("guest") or "")

    def user(self, server: str) -> str:
        """The token of who logged in at `server`, else ""."""
        return str(self._of(server).get("user") or "")

    def guest(self, server: str) -> str:
        """The last token a guest got at `server`, else ""."""
        return str(self._of(server).get("guest") or "")

    def log_in(self, server: str, token: str) -> None:
        """Show `token` from now on. What the guest of before had is the user's now, and the guest's token worthless."""
        kept = self._of(server)
        guest, apps = kept.get("guest"), kept.get("apps")
        others = {app: one for app, one in apps.items() if one != guest} if isinstance(apps, dict) else {}
        self._write({**self._read(), server: {"user": token, "apps": others}})

    def log_out(self, server: str) -> None:
        """Show nothing of a user's any more."""
        kept = self._of(server)
        if kept.pop("user", None) is not None:
            self._write({**self._read(), server: kept})

    def keep(self, server: str, app: str, token: str) -> None:
        """Remember `token` for `app`, and as what this guest shows `server` from now on."""
        kept = self._of(server)
        apps = kept.get("apps")
        kept |= {"guest": token, "apps": {**(apps if isinstance(apps, dict) else {}), app: token}}
        self._write({**self._read(), server: kept})

    def of_guest(self, server: str, app: str) -> str:
        """The token that a guest got for `app`, else the guest's last one, else ""."""
        kept = self._of(server)
        apps = kept.get("apps")
        return str((apps.get(app) if isinstance(apps, dict) else None) or kept.get("guest") or "")

    def drop(self, server: str, app: str) -> None:
        """Forget the token for `app`: it is no guest's any more."""
        kept = self._of(server)
        apps = kept.get("apps")
        if isinstance(apps, dict) and apps.pop(app, None) is not None:
            self._write({**self._read(), server: kept})

    def rename(self, server: str, app: str, name: str) -> None:
        """`app` on `server` is called `name` from now on."""
        kept = self._of(server)
        apps = kept.get("apps")
        if isinstance(apps, dict) and app in apps:
            apps[name] = apps.pop(app)
            self._write({**self._read(), server: kept})

    def share(self, server: str, app: str, name: str) -> None:
        """The app `name` is for who may edit `app`."""
        kept = self._of(server)
        apps = kept.get("apps")
        if isinstance(apps, dict) and app in apps:
            apps[name] = apps[app]
            self._write({**self._read(), server: kept})

    # Private

    def _of(self, server: str) -> dict[str, Any]:
        kept = self._read().get(server)
        return kept if isinstance(kept, dict) else {}

    def _write(self, everything: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes the file 0600; renamed into place, a crash leaves the old one whole.
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".tokens-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(everything, file, indent=2)
        os.replace(temporary, self.path)

    def _read(self) -> dict[str, Any]:
        try:
            with self.path.open(encoding="utf-8") as file:
                everything = json.loads(file.read(TOKENS_BYTES_MAX))
        except (OSError, ValueError):
            return {}
        return everything if isinstance(everything, dict) else {}
