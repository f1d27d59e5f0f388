"""How an answer leaves: JSON with a newline at the end, errors with their code in a header, pages for browsers."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.web.templates import render

logger = logging.getLogger("steadyd.web")

NO_STORE = {"cache-control": "no-store"}
INTERNAL = "Something broke inside steadyd. The log of the daemon says what; the request id finds it there."


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` (a type of schema.py) as JSON."""
    return Response(_json(value) + b"\n", status, {**NO_STORE, **(headers or {})}, "application/json")


def _json(value: Any) -> bytes:
    """Names of files that are no UTF-8 lose what makes them so."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")


def error_answer(request: Request, error: SteadyError) -> Response:
    """The error as JSON, or as a page outside /api for whoever asks for HTML."""
    headers = {**NO_STORE, "steady-error": error.code}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if "allow" in error.details and error.code == "method_not_allowed":
        headers["allow"] = str(error.details["allow"])
    if wants_html(request):
        page = render("error.html", request, error=error)
        return Response(page, error.status, headers, "text/html; charset=utf-8")
    return Response(encode_error(error), error.status, headers, "application/json")


def encode_error(error: SteadyError) -> bytes:
    """The JSON of an error. Details may hold foreign text, so broken characters are replaced, not refused."""
    try:
        return msgspec.json.encode(error.body()) + b"\n"
    except (UnicodeEncodeError, TypeError, ValueError):
        safe = {key: repr(value)[:500].encode("utf-8", "replace").decode() for key, value in error.details.items()}
        return msgspec.json.encode(SteadyError(error.code, error.message, safe).body()) + b"\n"


def wants_html(request: Request) -> bool:
    """True outside /api when `Accept` names text/html."""
    path = request.url.path
    return not (path == "/api" or path.startswith("/api/")) and "text/html" in request.headers.get("accept", "")


def from_http_exception(error: HTTPException) -> SteadyError:
    """The router's own refusals in our words."""
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        allowed = ", ".join(sorted(part.strip() for part in allowed.split(",") if part.strip()))
        return SteadyError("method_not_allowed", f"This address takes {allowed}.", {"allow": allowed})
    if error.status_code == 404:
        return nowhere()
    return SteadyError("bad_request", str(error.detail) or "The request cannot be understood.")


def nowhere() -> SteadyError:
    """The same sentence for an address that is none, and for one that is none for who asks."""
    return SteadyError("not_found", "There is nothing at this address. /api/docs lists what there is.")


def internal(request: Request) -> SteadyError:
    """Log the exception being handled with its traceback; what the user gets to see of it."""
    request_id = request.headers.get("steady-request-id", "")
    logger.exception("%s %s failed (request %s)", request.method, request.url.path, request_id)
    return SteadyError("internal", INTERNAL, {"request_id": request_id})
