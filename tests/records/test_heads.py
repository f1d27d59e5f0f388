"""Headers are masked before they are written, and only so many are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.records import heads as module
from steadyd.records.heads import VALUE_CHARACTERS_MAX, Heads, fields, find, masked, store
from steadyd.records.schema import TELEMETRY
from steadyd.store import Database

SECRET = "s3cr3tvalue"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Host: a.example", "Host: a.example"),
        ("Authorization: Bearer s3cr3tvalue", "Authorization: Bearer •••(11)"),
        ("Authorization: s3cr3tvalue", "Authorization: •••(11)"),
        ("Cookie: sid=s3cr3tvalue; theme=dark", "Cookie: sid=•••(11); theme=•••(4)"),
        ("Cookie: s3cr3tvalue", "Cookie: •••(11)"),
        ("Set-Cookie: sid=s3cr3tvalue; Path=/; HttpOnly", "Set-Cookie: sid=•••(11); Path=/; HttpOnly"),
        ("X-Api-Key: s3cr3tvalue", "X-Api-Key: •••(11)"),
        ("X-CSRF-Token: s3cr3tvalue", "X-CSRF-Token: •••(11)"),
        ("X-Hub-Signature-256: s3cr3tvalue", "X-Hub-Signature-256: •••(11)"),
        ("Referer: https://a.example/x?token=s3cr3tvalue", "Referer: https://a.example/x?•••(17)"),
        ("Location: /next?code=s3cr3tvalue#x", "Location: /next?•••(18)"),
        ("X-Own: eyJhbGciOiJub25lIn0.s3cr3tvalue", "X-Own: •••(31)"),
        ("X-Own: see https://me:s3cr3tvalue@a.example", "X-Own: see https•••(18)a.example"),
        ("X-Own: sk_live_s3cr3tvalue", "X-Own: •••(19)"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    ],
)
def test_what_is_secret_is_masked(line: str, kept: str) -> None:
    assert masked(f"{line}\r\n".encode()) == kept
    assert SECRET not in masked(f"{line}\r\n".encode())


def test_a_block_that_was_cut_loses_its_last_line_and_says_so() -> None:
    assert masked(b"Host: a\r\nAuthori") == "…: cut off here"
    assert masked(b"Host: a\r\nX: b\r\nAuthorization: Bea") == "Host: a\nX: b\n…: cut off here"
    assert masked(b"") == ""


def test_long_values_are_cut_with_their_length() -> None:
    assert masked(b"X: " + b"a" * 5_000 + b"\r\n") == f"X: {'a' * VALUE_CHARACTERS_MAX}… (5000 characters)"


def test_fields_keep_their_order_and_repeat() -> None:
    assert fields("A: 1\nB: 2\nA: 3") == [("A", "1"), ("B", "2"), ("A", "3")]
    assert fields("") == []


def test_only_so_many_are_kept_and_marked_ones_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEWEST_MAX", 10)
    monkeypatch.setattr(module, "MARKED_MAX", 3)
    database = Database(tmp_path / "telemetry.db", TELEMETRY, durable=False)
    some = {number: Heads("A: 1", "", number % 10 == 0) for number in range(1, 101)}
    database.write_now(lambda db: store(db, some, 100, True))
    kept = database.write_now(lambda db: [number for number in some if find(db, number)])
    assert kept == [80, *range(90, 101)] or kept == [80, 90, *range(91, 101)]
    database.close()
