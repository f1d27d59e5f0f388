from __future__ import annotations

import pytest

from steadyd.web.agents import UNKNOWN_CHARACTERS_MAX, in_words

MOZILLA = "Mozilla/5.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36", "Chrome on Windows"),
        (f"{MOZILLA} (Windows NT 10.0) {WEBKIT} Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        (f"{MOZILLA} (Linux; Android 15) {WEBKIT} Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        (
            f"{MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1",
            "Safari on an iPhone",
        ),
        (f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari on a Mac"),
        ("curl/8.5.0", "curl"),
        ("", "A program that did not say what it is"),
        ("<b>" * 50, ("<b>" * 50)[:UNKNOWN_CHARACTERS_MAX]),
    ],
)
def test_a_browser_is_told_in_words(agent: str, words: str) -> None:
    assert in_words(agent) == words
