"""Which addresses notices may go to, and in which form."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.webhook import URL_CHARACTERS_MAX, Webhook, read_webhook


@pytest.mark.parametrize(
    ("url", "webhook"),
    [
        ("https://example.org", Webhook("example.org", 443, "/", False)),
        ("https://Example.ORG:8443/a?b=c#d", Webhook("example.org", 8443, "/a?b=c", False)),
        ("https://ntfy.sh/my-topic", Webhook("ntfy.sh", 443, "/my-topic", True)),
        ("https://ntfy.example.org/x", Webhook("ntfy.example.org", 443, "/x", True)),
        ("https://ntfyx.sh/x", Webhook("ntfyx.sh", 443, "/x", False)),
        ("https://example.org/x?format=text", Webhook("example.org", 443, "/x?format=text", True)),
        ("https://bücher.example/ü x", Webhook("xn--bcher-kva.example", 443, "/%C3%BC%20x", False)),
        ("https://[2606:4700::1]/x", Webhook("2606:4700::1", 443, "/x", False)),
        ("https://93.184.216.34/x", Webhook("93.184.216.34", 443, "/x", False)),
    ],
)
def test_what_an_address_means(url: str, webhook: Webhook) -> None:
    assert read_webhook(url) == webhook


@pytest.mark.parametrize(
    "url",
    [
        "", "http://example.org", "https://", "https:///x", "https://a b/", "https://a\r\nb/", "https://example.org\\@x/",
        "ftp://example.org", "https://user:secret@example.org/", "https://example.org:99999/", "https://[::1/",
        "https://exa_mple..org/", "https://.example.org", "https://" + 64 * "a" + ".org", "javascript:alert(1)",
        "https://a/\0",
    ],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(SteadyError) as caught:
        read_webhook(url)
    assert caught.value.code == "invalid"
    assert not caught.value.message.endswith(".")


def test_an_address_ends_somewhere() -> None:
    longest = "https://example.org/".ljust(URL_CHARACTERS_MAX, "x")
    assert read_webhook(longest).host == "example.org"
    with pytest.raises(SteadyError, match="at most"):
        read_webhook(longest + "x")


@given(st.one_of(st.text(), st.text().map("https://example.org/{}".format), st.text().map("https://{}/".format)))
def test_nothing_that_is_taken_can_break_a_request(url: str) -> None:
    with contextlib.suppress(SteadyError):
        webhook = read_webhook(url)
        for part in (webhook.target, webhook.authority):
            assert part.isascii()
            assert part.isprintable()
            assert " " not in part
        assert webhook.target.startswith("/")
        assert 0 < webhook.port <= 65_535


def test_an_authority_has_brackets_and_a_port_where_they_belong() -> None:
    authorities = [read_webhook(f"https://{host}/").authority for host in ("a.example", "a.example:1", "[::1]:1")]
    assert authorities == ["a.example", "a.example:1", "[::1]:1"]
