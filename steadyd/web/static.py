"""The pages' own files, read once at start: no path of a request ever reaches the file system.

They are made from static/src and static/style by static/build.ts, and lie compressed beside themselves.
"""

from __future__ import annotations

import asyncio
import gzip
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
    ".json": "application/json",
}
SHARED = "chunk-"
"""How names of files begin that have their content's fingerprint in them."""
FOREVER = "public, max-age=31536000, immutable"


def routes() -> list[Route]:
    return [Route("/static/{name}", _serve), Route("/favicon.ico", _icon), Route("/robots.txt", _robots)]


def link(name: str) -> str:
    """The file's address with its fingerprint, so that browsers may keep it for ever."""
    return f"/static/{name}?v={fingerprint(name)}"


@cache
def fingerprint(name: str) -> str:
    files = _files()
    return hashlib.sha256(files[name] if name in files else files[f"{name}.gz"]).hexdigest()[:12]


# Private


@cache
def _files() -> dict[str, bytes]:
    """Name → content; `NAME.gz` is the compressed form of NAME, for a large one the only form.

    Raises:
        RuntimeError: nobody has built them.
    """
    built, drawn = folder("static") / "dist", folder("static") / "icon.svg"
    if not (built / "steady.css").is_file():
        raise RuntimeError(f"The pages' scripts and styles are missing in {built}. In a checkout: make setup")
    return {path.name: path.read_bytes() for path in (*built.iterdir(), drawn)}


async def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    content, smaller = _files().get(name), _files().get(f"{name}.gz")
    kind = TYPES.get("." + name.rpartition(".")[2])
    if (content is None and smaller is None) or kind is None:
        raise SteadyError("not_found", "There is no such file.")
    tag = f'"{fingerprint(name)}"'
    fresh = name.startswith(SHARED) or request.query_params.get("v") == fingerprint(name)
    headers = {"etag": tag, "cache-control": FOREVER if fresh else "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    if smaller is not None and takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(smaller, 200, {**headers, "content-encoding": "gzip"}, kind)
    if content is None:
        assert smaller is not None
        content = await asyncio.to_thread(gzip.decompress, smaller)
    return Response(content, 200, headers, kind)


def takes_gzip(accepted: str) -> bool:
    """Whether an `Accept-Encoding` takes gzip (RFC 9110 section 12.5.3); one with a weight of 0 does not."""
    for offer in accepted.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "").rstrip("0").rstrip(".") != "q="
    return False


async def _icon(request: Request) -> Response:
    headers = {"cache-control": "public, max-age=86400"}
    return Response(_files()["icon.svg"], 200, headers, TYPES[".svg"])


async def _robots(request: Request) -> Response:
    return Response("User-agent: *\nDisallow: /api/\nDisallow: /apps\n", 200, None, TYPES[".txt"])
