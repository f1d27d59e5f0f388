"""How long what nobody keeps is kept: temporary apps, deleted apps, and names that were given up. No I/O."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from steadyd.model import App

DAY_SECONDS = 86_400.0


class Fate(enum.Enum):
    """What time does to an app."""

    STAY = "stay"
    EXPIRE = "expire"
    """It stops and counts as deleted; its owner, or whoever claims it, can have it back."""
    COLLECT = "collect"
    """Nothing of it is kept."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What this host's operator grants. Seconds; 0 turns that off."""

    temporary_seconds: float = 7 * DAY_SECONDS
    """From a temporary app's last edit until it expires, and again until it is collected. 0: it never expires."""
    deleted_seconds: float = 30 * DAY_SECONDS
    """From an owner's delete until the app is collected. 0: it is kept until somebody purges it."""
    name_seconds: float = 30 * DAY_SECONDS
    """For which a name that an app gave up is its last owner's alone and leads on to the app. 0: it is free at once."""
    versions_kept: int = 100
    """Newest versions of an app, beside the live one, those that were live last, and the pinned ones. 0: all."""

    def expires_at(self, temporary: bool, edited_at: float) -> float | None:
        """When an app that was last edited at that moment expires; None: never."""
        return edited_at + self.temporary_seconds if temporary and self.temporary_seconds else None

    def collected_at(self, app: App) -> float | None:
        """When nothing of a deleted app is kept any more; None: not by itself."""
        if app.deleted_at is None:
            return None
        kept = self.temporary_seconds if has_expired(app) else self.deleted_seconds
        return app.deleted_at + kept if kept else None

    def fate(self, app: App, now: float) -> Fate:
        """What is due for `app` at `now`."""
        collected_at = self.collected_at(app)
        if collected_at is not None and collected_at <= now:
            return Fate.COLLECT
        if app.deleted_at is None and app.expires_at is not None and app.expires_at <= now:
            return Fate.EXPIRE
        return Fate.STAY


def has_expired(app: App) -> bool:
    """Whether it is deleted because its time was over, and not because somebody deleted it."""
    return app.deleted_at is not None and app.expires_at is not None and app.expires_at <= app.deleted_at
