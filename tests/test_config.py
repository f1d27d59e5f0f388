from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.config import (
    CONTACT_CHARACTERS_MAX,
    Address,
    Config,
    default_data,
    parse_abuse_contact,
    parse_address,
    parse_domain,
    parse_public_url,
)
from steadyd.errors import SteadyError
from steadyd.terms import Terms
from steadyd.tree import TreeLimits


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        (":0", Address("127.0.0.1", 0)),
        ("[::1]:443", Address("::1", 443)),
        ("steady.example:80", Address("steady.example", 80)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "8080", "localhost", "localhost:", "a:65536", "a:-1", "a:٣", "a:http"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(SteadyError) as caught:
        parse_address(text)
    assert caught.value.code == "invalid"


def test_a_domain_is_one_that_a_name_can_stand_before() -> None:
    assert [parse_domain(text) for text in ("localhost", "Apps.Example.com.", "a-1.b2")] == [
        "localhost", "apps.example.com", "a-1.b2",
    ]  # fmt: skip
    for text in ("", ".", "a..b", "-a.b", "a b", "a.b:80", "http://a.b", "*.a.b", "é.b", "a." * 110 + "b"):
        with pytest.raises(SteadyError, match="is not a domain"):
            parse_domain(text)


def test_a_public_url_is_an_origin() -> None:
    assert [parse_public_url(text) for text in ("", "https://A.b/", "http://a.b:81")] == [
        "", "https://A.b", "http://a.b:81",
    ]  # fmt: skip
    for text in ("a.b", "ftp://a.b", "https://", "https://a.b/path", "https://a.b?x=1"):
        with pytest.raises(SteadyError, match="is not where a server is reached"):
            parse_public_url(text)


def test_an_abuse_contact_is_an_address_or_a_page() -> None:
    for text in ("", "abuse@a.b", "https://a.b/abuse?x=1"):
        assert parse_abuse_contact(text) == text
    long = "a" * (CONTACT_CHARACTERS_MAX - len("@a.b"))
    assert parse_abuse_contact(f"{long}@a.b").startswith("a")
    for text in ("a.b", "http://a.b", "https://", "javascript:alert(1)", "a@b c", "https://a.b/ x", f"{long}a@a.b"):
        with pytest.raises(SteadyError, match="is no abuse contact"):
            parse_abuse_contact(text)


def test_only_this_machine_is_loopback() -> None:
    assert [Address(host, 1).is_loopback for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    others = ("0.0.0.0", "::", "10.0.0.1", "example.com", "127.example.com", "127.0.0.1.example.com", "")
    assert [host for host in others if Address(host, 1).is_loopback] == []


def test_paths_are_derived_from_the_data_folder() -> None:
    config = Config(Path("/data"))
    paths = (config.database, config.blobs, config.apps, config.operator_token, config.url_file)
    assert [str(path) for path in paths] == [
        "/data/steady.db",
        "/data/blobs",
        "/data/apps",
        "/data/operator.token",
        "/data/url",
    ]


def test_data_lies_with_the_system_as_root_and_else_with_the_user() -> None:
    assert default_data({}, uid=0) == Path("/var/lib/steadyd")
    assert default_data({"XDG_DATA_HOME": "/x", "HOME": "/h"}, uid=1) == Path("/x/steadyd")
    assert default_data({"HOME": "/h"}, uid=1) == Path("/h/.local/share/steadyd")


def test_terms_are_told_in_days() -> None:
    assert Config(Path("/x")).terms == Terms()
    told = Config(Path("/x"), temporary_days=1, deleted_days=2, name_quarantine_days=0.5)
    assert told.terms == Terms(86_400, 172_800, 43_200)


def test_what_an_app_may_ship_is_one_value() -> None:
    assert Config(Path("x")).policy.tree == TreeLimits()
    assert Config(Path("x"), files=0, file_bytes=1, app_bytes=2).policy.tree == TreeLimits(0, 1, 2)
