"""What every page and form goes through."""

from __future__ import annotations

import pytest

from steadyd.errors import SteadyError
from steadyd.web.page import FORM_BYTES_MAX, FORM_FIELDS_MAX, local_path, parse_form
from tests.web.conftest import Stage, Web


def test_a_form_is_fields_with_our_line_breaks() -> None:
    assert parse_form(b"a=1%0D%0A2&b=&c=%C3%A4+x") == {"a": "1\n2", "b": "", "c": "ä x"}
    assert parse_form(b"") == {}


@pytest.mark.parametrize("content", [b"a=%FF", b"\xff=1", b"&".join([b"a=1"] * (FORM_FIELDS_MAX + 1))])
def test_a_form_that_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(SteadyError) as caught:
        parse_form(content)
    assert caught.value.code == "invalid"


def test_a_form_has_a_limit(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(**{"content-type": "application/x-www-form-urlencoded"}) as client:
            refused = await client.post("/apps", content=b"a=" + bytes(FORM_BYTES_MAX))
        assert refused.status_code == 413

    web(body)


@pytest.mark.parametrize(
    "text", ["//evil.example", "/\\evil.example", "https://evil.example", "", "apps", "/a\nb", "/\t/x"]
)
def test_a_log_in_never_leads_to_another_site(text: str) -> None:
    assert local_path(text) == "/apps"
    assert local_path("/apps/hello?file=a") == "/apps/hello?file=a"


def test_pages_are_not_kept_and_visitors_get_a_cookie_for_their_forms(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            first = await client.get("/")
            assert first.headers["cache-control"] == "no-store"
            assert first.headers["set-cookie"].startswith("steady-visitor-8080=")
            assert "set-cookie" not in (await client.get("/")).headers

    web(body)
