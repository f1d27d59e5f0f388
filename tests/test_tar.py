"""The tar reader against Python's own writer in its three formats, and against what that reader cannot bound."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.tar import BLOCK, EXTENDED_BYTES_MAX, EXTENDED_CHAIN_MAX, members

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def write(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT, **pax: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form, pax_headers=pax) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def read(packed: bytes) -> dict[str, bytes]:
    return {member.path: b"".join(content) for member, content in members(io.BytesIO(packed).read)}


def extended(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    info = tarfile.TarInfo("extended")
    info.type, info.size = kind, len(content) if size is None else size
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % BLOCK)


@pytest.mark.parametrize("form", FORMATS)
def test_it_reads_every_format(form: int) -> None:
    files = {"index.ts": b"x" * 1_000, "a/" * 40 + "deep.ts": b"", "empty": b"", "exact": bytes(BLOCK)}
    assert read(write(files, form)) == files


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_it_reads_long_and_accented_names(form: int) -> None:
    files = {"ä" * 120 + ".ts": b"1", "日本/語.ts": b"2"}
    assert read(write(files, form)) == files


def test_a_global_header_is_skipped() -> None:
    """What `git archive` begins with."""
    assert read(write({"index.ts": b"x"}, comment="0123456789")) == {"index.ts": b"x"}


def test_content_that_is_not_read_is_skipped() -> None:
    packed = write({"a": b"x" * 10_000, "b": b"y"})
    assert [member.path for member, _ in members(io.BytesIO(packed).read)] == ["a", "b"]


def test_large_numbers_are_read_in_base_256() -> None:
    info = tarfile.TarInfo("big")
    info.size = 9 << 33
    found = next(members(io.BytesIO(info.tobuf(tarfile.GNU_FORMAT)).read))
    assert found[0].size == 9 << 33


@pytest.mark.parametrize(
    "packed",
    [
        b"hello",
        b"x" * BLOCK,
        write({"a": b"x" * 1_000})[: BLOCK + 100],
        write({"a": b"x"})[:BLOCK],
        write({"a": b"x"}).replace(b"0000644", b"0000645"),
        extended(b"x", b"nonsense\n") + write({"z": b""}),
        extended(b"x", b"99 path=short\n") + write({"z": b""}),
        extended(b"x", b"12 size=-10\n") + write({"z": b""}),
        b"".join(extended(b"L", b"name\0") for _ in range(EXTENDED_CHAIN_MAX + 1)),
    ],
)
def test_a_damaged_one_is_refused(packed: bytes) -> None:
    with pytest.raises(SteadyError) as caught:
        read(packed)
    assert caught.value.code == "invalid_archive"


def test_a_long_extended_header_is_refused_by_its_size() -> None:
    """Before a byte of it is read: a reader that took it whole would hold it in memory."""
    with pytest.raises(SteadyError) as caught:
        read(extended(b"x", b"", size=EXTENDED_BYTES_MAX + 1))
    assert caught.value.code == "too_large"


def test_an_extended_header_of_digits_takes_no_time() -> None:
    """CVE-2024-6232: a regular expression over this took quadratic time."""
    began = time.perf_counter()
    with pytest.raises(SteadyError):
        read(extended(b"x", b"1" * EXTENDED_BYTES_MAX))
    assert time.perf_counter() - began < 0.5


@given(st.binary(max_size=3 * BLOCK))
@settings(max_examples=200, deadline=None)
def test_noise_never_breaks_it(noise: bytes) -> None:
    with contextlib.suppress(SteadyError):
        read(noise)
