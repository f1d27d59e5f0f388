"""Links that work once: to log in, to make an account, to set a new password. Stored as SHA-256 only."""

from __future__ import annotations

import enum
import secrets

from steadyd.records.secret import hash_secret
from steadyd.store import Connection, one

LOGIN_LINK_SECONDS_MAX = 86_400.0
INVITATION_SECONDS_MAX = 7 * 86_400.0
RESET_SECONDS_MAX = 86_400.0


class Purpose(enum.StrEnum):
    """What a link is good for."""

    LOGIN = "login"
    INVITATION = "invitation"
    RESET = "reset"


SECONDS = {
    Purpose.LOGIN: LOGIN_LINK_SECONDS_MAX,
    Purpose.INVITATION: INVITATION_SECONDS_MAX,
    Purpose.RESET: RESET_SECONDS_MAX,
}


def insert(db: Connection, principal_id: str, purpose: Purpose, now: float) -> tuple[str, float]:
    """Within a transaction: the secret of a new link and when it expires. `principal_id` is whom it is for; of an
    invitation, who invites. Links that have expired go."""
    secret, expires_at = secrets.token_urlsafe(24), now + SECONDS[purpose]
    db.execute("DELETE FROM login_links WHERE expires_at < ?", (now,))
    if purpose is Purpose.RESET:  # only the last one counts
        db.execute("DELETE FROM login_links WHERE principal_id = ? AND purpose = ?", (principal_id, str(purpose)))
    columns = "hash, principal_id, expires_at, purpose"
    values = (hash_secret(secret), principal_id, expires_at, str(purpose))
    db.execute(f"INSERT INTO login_links ({columns}) VALUES (?, ?, ?, ?)", values)
    return secret, expires_at


def take(db: Connection, secret: str, purpose: Purpose, now: float) -> str | None:
    """Within a transaction: use up a link. The id of its principal, or None if it is unknown, used or too old."""
    values = (hash_secret(secret), str(purpose), now)
    where = "hash = ? AND purpose = ? AND expires_at >= ?"
    row = one(db, f"SELECT principal_id FROM login_links WHERE {where}", values)
    db.execute(f"DELETE FROM login_links WHERE {where}", values)
    return str(row[0]) if row else None
