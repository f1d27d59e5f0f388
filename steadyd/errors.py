"""The error vocabulary: every error a user can meet, and the one table from code to HTTP status.

A foreign exception becomes a `SteadyError` where the foreign library is called. Anything else that escapes is
`internal`: logged with its traceback, shown as one plain sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATUS: Mapping[str, int] = {
    # the request itself
    "bad_request": 400,
    "bad_host": 400,
    "unauthorized": 401,
    "cross_site": 403,
    "forbidden": 403,
    "app_limit": 403,
    "not_found": 404,
    "unknown_host": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conflict": 409,
    "core_service": 409,
    "name_taken": 409,
    "version_conflict": 409,
    "row_changed": 409,
    "cancelled": 409,
    "length_required": 411,
    "too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "invalid": 422,
    "invalid_name": 422,
    "invalid_path": 422,
    "invalid_archive": 422,
    "no_entry": 422,
    "deploy_failed": 422,
    "sql_error": 422,
    "database_damaged": 422,
    "query_timeout": 422,
    "not_reachable": 422,
    "backup_broken": 422,
    "rate_limited": 429,
    "headers_too_large": 431,
    "suspended": 451,
    # the app or its instance
    "app_died": 502,
    "bad_upstream": 502,
    "notify_failed": 502,
    "app_failed": 503,
    "held": 503,
    "secrets_locked": 503,
    "gate_full": 503,
    "not_replicated": 503,
    "overloaded": 503,
    "shutting_down": 503,
    "replica_away": 503,
    "replica_refused": 503,
    "replica_unfit": 503,
    "superseded": 503,
    "gate_timeout": 504,
    "app_timeout": 504,
    "loop_detected": 508,
    # the machine
    "internal": 500,
    "cannot_start": 500,
    "not_implemented": 501,
    "disk_full": 507,
}


class SteadyError(Exception):
    """One error with a stable `code`, a sentence that says what happened and what to do, and optional details.

    `retry_after` is in whole seconds and becomes a `Retry-After` header.
    """

    def __init__(
        self, code: str, message: str, details: Mapping[str, Any] | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(plain(message))
        self.code = code
        self.message = plain(message)
        self.details = dict(details or {})
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return STATUS[self.code]

    def body(self) -> dict[str, Any]:
        """The JSON body of design: `{"error": {code, message, details}}`."""
        return {"error": {"code": self.code, "message": self.message, "details": self.details}}


def plain(text: str) -> str:
    """`text` as it can be sent and stored: what is quoted may be a file's name, and that need not be UTF-8."""
    return text.encode("utf-8", "replace").decode()
