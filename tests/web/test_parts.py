"""multipart/form-data piece by piece: however it is cut, the same files come out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.tree import FILE_BYTES_MAX, FILES_MAX, NO_LIMITS
from steadyd.web.parts import OPTION_BYTES_MAX, Parts

KIND = "multipart/form-data; boundary=xyz"


def part(name: str, content: bytes, file: bool = True) -> bytes:
    filename = '; filename="whatever"' if file else ""
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode() + content + b"\r\n"


def parse(body: bytes, cut: int = 1 << 20, kind: str = KIND) -> Parts:
    parts = Parts(kind)
    for start in range(0, len(body), cut):
        parts.feed(body[start : start + cut])
    parts.finish()
    return parts


def refused(body: bytes, kind: str = KIND) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        parse(body, kind=kind)
    return caught.value


END = b"--xyz--\r\n"


FILES = st.dictionaries(st.sampled_from(["a.ts", "lib/b.ts", "ö.txt"]), st.binary(max_size=200), min_size=1)


@given(FILES, st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_the_cut_does_not_matter(files: dict[str, bytes], cut: int) -> None:
    body = b"".join(part(path, content) for path, content in files.items()) + END
    if b"--xyz" not in b"".join(files.values()):
        assert parse(body, cut).files == files


def test_options_are_parts_without_a_file_name() -> None:
    parts = parse(part("name", b"hello", file=False) + part("trial", b"0", file=False) + part("name", b"x") + END)
    assert parts.options == {"name": "hello", "trial": "0"}
    assert parts.files == {"name": b"x"}


def test_a_text_field_is_a_file_too() -> None:
    """`curl -F 'index.ts=<index.ts'` sends no file name."""
    assert parse(part("index.ts", b"x", file=False) + END).files == {"index.ts": b"x"}


def test_a_quote_in_a_name_is_unescaped() -> None:
    assert list(parse(part("a%22b.ts", b"") + END).files) == ['a"b.ts']


def test_the_same_name_twice_is_refused() -> None:
    assert refused(part("a", b"") + part("a", b"") + END).code == "invalid"
    assert refused(part("name", b"", file=False) * 2 + END).code == "invalid"


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", KIND, "bad_request"), (END[:-3], KIND, "bad_request"), (b"nonsense", KIND, "bad_request"),
        (END, "multipart/form-data", "bad_request"), (END, "multipart/form-data; boundary=" + "x" * 999, "bad_request"),
        (b"--xyz\r\nX: y\r\n\r\n\r\n" + END, KIND, "invalid"), (part("", b"") + END, KIND, "invalid"),
        (part("a", b"x")[:-20], KIND, "bad_request"),
        (b"--xyz\r\n" + b"A: b\r\n" * 100 + b"\r\n" + END, KIND, "bad_request"),
        (b'--xyz\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n\r\n' + END, KIND, "invalid"),
    ],
)  # fmt: skip
def test_a_broken_body_is_refused_and_not_logged(
    body: bytes, kind: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert refused(body, kind).code == code
    assert not caplog.records


def test_limits() -> None:
    assert refused(part("a", bytes(FILE_BYTES_MAX + 1))).code == "too_large"
    assert refused(part("name", bytes(OPTION_BYTES_MAX + 1), file=False)).code == "too_large"
    assert refused(b"".join(part(f"f{n}", b"") for n in range(FILES_MAX + 1))).code == "too_large"
    many = b"".join(part(f"f{n}", bytes(FILE_BYTES_MAX)) for n in range(11))
    assert refused(many).code == "too_large"


def test_a_limit_that_is_off_refuses_nothing() -> None:
    parts = Parts(KIND, NO_LIMITS)
    for number in range(FILES_MAX + 1):
        parts.feed(part(f"f{number}", b""))
    parts.feed(part("large", bytes(FILE_BYTES_MAX + 1)) + END)
    parts.finish()
    assert len(parts.files) == FILES_MAX + 2
