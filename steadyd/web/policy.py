"""What a browser may do on our pages: the Content Security Policy (https://www.w3.org/TR/CSP3/)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from steadyd.urls import Urls

ALLOWED: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def policy(nonce: str = "", frames: str = "") -> str:
    """The header's value. Style elements with `nonce` count, which an editor that styles itself needs; `frames` is what
    may be shown inside a page."""
    allowed = dict(ALLOWED)
    if nonce:
        allowed["style-src"] += f" 'nonce-{nonce}'"
    if frames:
        allowed["frame-src"] = frames
    return "; ".join(f"{directive} {sources}" for directive, sources in allowed.items())


def app_frames(urls: Urls) -> str:
    """Every app of this host, as a source."""
    origin = urlsplit(urls.app("app"))
    port = f":{origin.port}" if origin.port else ""
    return f"{origin.scheme}://*.{urls.app_domain}{port}"
