"""Targets: what `--replica` and its settings mean, and that no secret is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.target import (
    PREFIX_CHARACTERS_MAX,
    Target,
    TargetKind,
    parse_credentials,
    parse_target,
)
from steadyd.errors import SteadyError

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush+hush"}


def problem(url: str, settings: dict[str, str] | None = None) -> str:
    with pytest.raises(SteadyError) as caught:
        parse_target(url, settings)
    assert caught.value.code == "invalid"
    return caught.value.message


def test_a_folder() -> None:
    """Its address is a URL again, whatever its name holds."""
    target = parse_target("file:///srv/back%20ups")
    assert target == Target(TargetKind.FILE, path=Path("/srv/back ups"))
    assert str(target) == "file:///srv/back%20ups"
    assert target.replica_url("apps/a/00000001/7") == "file:///srv/back%20ups/apps/a/00000001/7"
    assert target.litestream_environment == {}


def test_a_bucket() -> None:
    """With its prefix, its store's address and region."""
    said = KEYS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000/", "AWS_REGION": "eu-central-1", "AWS_SESSION_TOKEN": "t"}
    target = parse_target("s3://my-bucket/hosts/one/", said)
    assert (target.bucket, target.prefix, target.endpoint) == ("my-bucket", "hosts/one", "http://127.0.0.1:9000")
    assert target.region == "eu-central-1"
    assert target.address("epochs/00000001") == "s3://my-bucket/hosts/one/epochs/00000001"
    assert target.replica_url("steady/00000001") == (
        "s3://my-bucket/hosts/one/steady/00000001/ltx"
        "?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu-central-1&force-path-style=true"
    )
    assert target.litestream_environment["AWS_SESSION_TOKEN"] == "t"


def test_amazon_needs_no_endpoint() -> None:
    target = parse_target("s3://my-bucket", KEYS)
    assert target.replica_url("steady/00000001") == "s3://my-bucket/steady/00000001/ltx?region=us-east-1"
    assert target.litestream_environment == KEYS


def test_no_secret_is_shown() -> None:
    """Neither as text nor for debugging."""
    target = parse_target("s3://my-bucket/p", KEYS | {"AWS_SESSION_TOKEN": "tok-tok"})
    for shown in (str(target), repr(target), target.replica_url("k"), f"{target}"):
        assert not {"AKIAEXAMPLE", "hush+hush", "tok-tok"} & {part for part in KEYS.values() if part in shown}
        assert "tok-tok" not in shown


@pytest.mark.parametrize(
    "url", ["", "/srv/backups", "file:relative", "file://host/path", "file:///", "ftp://x/y", "s3:///x", "s3:bucket"]
)
def test_other_addresses_are_refused_with_what_to_write(url: str) -> None:
    assert "file:///path or s3://bucket/prefix" in problem(url, KEYS)


@pytest.mark.parametrize("url", ["s3://UPPER/x", "s3://a/x", "s3://a..b/x", "s3://b.c-/x", f"s3://{'b' * 64}"])
def test_a_bucket_has_a_name(url: str) -> None:
    assert "3 to 63" in problem(url, KEYS)


@pytest.mark.parametrize("prefix", ["a//b", "../b", "a/./b", "a%00b", "é", "p" * (PREFIX_CHARACTERS_MAX + 1)])
def test_a_prefix_can_begin_keys(prefix: str) -> None:
    assert "cannot begin a key" in problem(f"s3://bucket/{prefix}", KEYS)
    assert parse_target(f"s3://bucket/{'p' * PREFIX_CHARACTERS_MAX}", KEYS).prefix


@pytest.mark.parametrize("url", ["s3://key:hush@bucket/x", "s3://bucket/x?secret=hush", "file:///x#hush"])
def test_credentials_do_not_stand_in_the_address(url: str) -> None:
    """They would be seen by whoever lists processes, so they are not taken, nor repeated."""
    said = problem(url, KEYS)
    assert "--replica-credentials" in said
    assert "hush" not in said


def test_a_bucket_without_credentials_says_where_they_go() -> None:
    assert "AWS_ACCESS_KEY_ID" in problem("s3://bucket/x", {"AWS_ACCESS_KEY_ID": "half"})


@pytest.mark.parametrize("endpoint", ["localhost:9000", "http://", "http://a:b@host", "http://host/?x", "ftp://host"])
def test_an_endpoint_is_an_address(endpoint: str) -> None:
    assert "AWS_ENDPOINT_URL" in problem("s3://bucket/x", KEYS | {"AWS_ENDPOINT_URL_S3": endpoint})


def test_a_folder_has_no_way_up() -> None:
    assert "absolute path" in problem("file:///srv/../etc")


@pytest.mark.parametrize("heading", ["", "[default]\n"])
def test_a_credentials_file(heading: str) -> None:
    """As the AWS tools write it, and with the store's address beside."""
    text = (
        f"{heading}aws_access_key_id = K\naws_secret_access_key=S%x=\nendpoint_url = http://h\nregion = r\nother = 1\n"
    )
    assert parse_credentials(text, "f") == {
        "AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": "S%x=", "AWS_ENDPOINT_URL": "http://h", "AWS_REGION": "r",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["hush-hush", "[other]\naws_access_key_id = hush", "aws_access_key_id = hush", ""])
def test_a_bad_credentials_file_is_named_and_not_quoted(text: str) -> None:
    with pytest.raises(SteadyError) as caught:
        parse_credentials(text, "/etc/keys")
    assert caught.value.message.startswith("/etc/keys ")
    assert "hush" not in caught.value.message


def refusal(call: Callable[[], object]) -> str:
    """The code of the error that it ends with; "" if it ends well."""
    try:
        call()
    except SteadyError as error:
        return error.code
    return ""


@given(st.text(max_size=200))
def test_any_text_is_a_target_or_a_clear_error(text: str) -> None:
    for url in (text, f"s3://{text}", f"file://{text}", f"s3://bucket/{text}"):
        assert refusal(partial(parse_target, url, KEYS)) in ("", "invalid")


@given(st.from_regex(r"(s3://bucket/|file:///)[a-z/%0-9 é]{1,40}", fullmatch=True))
def test_a_targets_text_is_its_address(url: str) -> None:
    if not refusal(lambda: parse_target(url, KEYS)):
        target = parse_target(url, KEYS)
        assert parse_target(str(target), KEYS) == target


@given(st.text(max_size=300))
def test_any_text_is_credentials_or_a_clear_error(text: str) -> None:
    assert refusal(lambda: parse_credentials(text, "f")) in ("", "invalid")
