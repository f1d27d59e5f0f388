"""What a browser may do on our pages."""

from __future__ import annotations

from steadyd.urls import Urls
from steadyd.web.policy import app_frames, policy


def test_nothing_inline_and_nothing_foreign_but_styles_with_the_nonce_and_apps_in_frames() -> None:
    said = dict(part.split(" ", 1) for part in policy("abc", "http://*.localhost:8080").split("; "))
    assert said["script-src"] == "'self'"
    assert said["style-src"] == "'self' 'nonce-abc'"
    assert said["frame-src"] == "http://*.localhost:8080"
    assert said["default-src"] == said["base-uri"] == said["frame-ancestors"] == "'none'"
    assert "nonce" not in policy()
    assert "frame-src" not in policy()
    assert "unsafe" not in policy("abc", "x")


def test_frames_are_the_apps_of_this_host() -> None:
    assert app_frames(Urls("localhost", "localhost", 8080)) == "http://*.localhost:8080"
    assert app_frames(Urls("apps.example", "steady.example", 80, "https://steady.example")) == "https://*.apps.example"
