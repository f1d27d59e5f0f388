"""The page's own files, read once at start: no path of a request ever reaches the file system."""

from __future__ import annotations

import hashlib
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.web.shipped import folder

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
FOREVER = "public, max-age=31536000, immutable"


def routes() -> list[Route]:
    return [Route("/static/{name}", _serve), Route("/favicon.ico", _icon), Route("/robots.txt", _robots)]


def link(name: str) -> str:
    """The file's address with its fingerprint, so that browsers may keep it for ever."""
    return f"/static/{name}?v={fingerprint(name)}"


def fingerprint(name: str) -> str:
    return hashlib.sha256(_files()[name]).hexdigest()[:12]


# Private


@cache
def _files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder("static").iterdir() if path.suffix in TYPES}


async def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    content = _files().get(name)
    if content is None:
        raise SteadyError("not_found", "There is no such file.")
    tag = f'"{fingerprint(name)}"'
    fresh = request.query_params.get("v") == fingerprint(name)
    headers = {"etag": tag, "cache-control": FOREVER if fresh else "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    return Response(content, 200, headers, TYPES["." + name.rpartition(".")[2]])


async def _icon(request: Request) -> Response:
    headers = {"cache-control": "public, max-age=86400"}
    return Response(_files()["icon.svg"], 200, headers, TYPES[".svg"])


async def _robots(request: Request) -> Response:
    return Response("User-agent: *\nDisallow: /api/\nDisallow: /apps\n", 200, None, TYPES[".txt"])
