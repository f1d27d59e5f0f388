"""What stores answer, as we read it. The texts are those of `obstore` 0.12 with S3, and with a folder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.trouble import REASON_CHARACTERS_MAX, Trouble, away, reason, refused, trouble, unfit


def said(status: str, code: str = "") -> str:
    """As object_store words an answer."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>" if code else ""
    asked = "Generic S3 error: Error performing PUT http://h/b/k in 1ms"
    return f"{asked} - Server returned non-2xx status code: {status}: {body}"


@pytest.mark.parametrize(
    ("name", "text", "meaning", "why"),
    [
        ("FileNotFoundError", said("404 Not Found", "NoSuchKey"), Trouble.ABSENT, "NoSuchKey"),
        ("FileNotFoundError", said("404 Not Found", "NoSuchBucket"), Trouble.REFUSED, "NoSuchBucket"),
        ("GenericError", said("404 Not Found", "NoSuchBucket"), Trouble.REFUSED, "NoSuchBucket"),
        ("AlreadyExistsError", said("412 Precondition Failed", "PreconditionFailed"), Trouble.EXISTS, None),
        ("AlreadyExistsError", "Object at location /x exists: File exists (os error 17)", Trouble.EXISTS, None),
        ("GenericError", said("416 Range Not Satisfiable", "InvalidRange"), Trouble.BEYOND, None),
        ("GenericError", "Generic LocalFileSystem error: x\n\nDebug source:\nInvalidRange {", Trouble.BEYOND, None),
        ("PermissionDeniedError", said("403 Forbidden", "InvalidAccessKeyId"), Trouble.REFUSED, "InvalidAccessKeyId"),
        ("GenericError", said("403 Forbidden", "SignatureDoesNotMatch"), Trouble.REFUSED, "SignatureDoesNotMatch"),
        ("GenericError", said("301 Moved Permanently", "PermanentRedirect"), Trouble.REFUSED, "PermanentRedirect"),
        ("GenericError", said("501 Not Implemented"), Trouble.REFUSED, "501"),
        ("GenericError", said("507 Insufficient Storage"), Trouble.AWAY, "507, the store is full"),
        ("GenericError", said("503 Service Unavailable"), Trouble.AWAY, "503, the store is busy"),
        ("GenericError", said("503 Service Unavailable", "SlowDown"), Trouble.AWAY, "SlowDown"),
        ("GenericError", said("429 Too Many Requests"), Trouble.AWAY, "429"),
        ("GenericError", said("500 Internal Server Error"), Trouble.AWAY, "500"),
        (
            "GenericError",
            "Generic S3 error: x\n\nDebug source: kind: Connect",
            Trouble.AWAY,
            "no connection",
        ),
        ("GenericError", "Unable to copy: No space left on device (os error 28)", Trouble.AWAY, None),
        ("PermissionError", "Permission denied (os error 13)", Trouble.REFUSED, "permission denied"),
    ],
)
def test_each_answer_has_its_meaning(name: str, text: str, meaning: Trouble, why: str | None) -> None:
    assert trouble(name, text) is meaning
    if why is not None:
        assert reason(text) == why


def test_errors_say_what_to_do() -> None:
    assert "tried again" in away("s3://b/p", "no connection").message
    assert away("s3://b/p", "x").retry_after
    assert "Make the bucket" in refused("s3://b/p", "NoSuchBucket").message
    assert "AWS_ACCESS_KEY_ID" in refused("s3://b/p", "InvalidAccessKeyId").message
    assert "AWS_ACCESS_KEY_ID" in refused("s3://b/p", "AccessDenied").message
    assert "--replica" in refused("file:///x", "read-only file system").message
    assert "conditional writes" in unfit("s3://b/p").message


@given(st.sampled_from(["GenericError", "OSError", "BaseError"]), st.text())
def test_any_text_has_a_meaning_and_a_short_reason(name: str, text: str) -> None:
    """What nobody has seen yet is tried again."""
    assert isinstance(trouble(name, text), Trouble)
    assert len(reason(text)) <= REASON_CHARACTERS_MAX
    assert "\n" not in reason(text)
