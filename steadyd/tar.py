"""Reading a tar as a stream, one header at a time, in constant memory.

Python's tarfile reads extended headers of any length, searches them in quadratic time and follows chains of them by
recursion; none of that can be bounded from outside. What a deploy needs of the format (ustar, GNU long names, pax
path and size) is small.

Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from steadyd.errors import SteadyError

BLOCK = 512
PIECE_BYTES = 64 << 10
EXTENDED_BYTES_MAX = 64 << 10
"""One long name or extended header."""
EXTENDED_CHAIN_MAX = 8
"""Extended headers before one entry."""

SYMBOLIC = "a symbolic link"
HARD = "a hard link"
KINDS = {
    b"0": "file", b"\0": "file", b"7": "file", b"5": "folder",
    b"1": HARD, b"2": SYMBOLIC, b"3": "a device", b"4": "a device", b"6": "a pipe",
    b"S": "a sparse file",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """One entry. `kind` is "file", "folder", or in words what it is instead; `size` is in bytes; `target` is where a
    link says that it leads."""

    path: str
    kind: str
    size: int
    target: str = ""


Content = Iterator[bytes]
"""Pieces of one entry's content. What is not read of it is skipped."""


def members(read: Callable[[int], bytes]) -> Iterator[tuple[Member, Content]]:
    """Every entry with its content, from a function that gives up to so many bytes.

    Raises:
        SteadyError: `invalid_archive` if it is not a tar, is damaged or ends early.
    """
    stream = _Stream(read)
    while (member := _next(stream)) is not None:
        left = _Content(stream, member.size)
        yield member, left
        for _ in left:
            pass
        stream.exactly(-member.size % BLOCK)


# Private


class _Stream:
    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def upto(self, count: int) -> bytes:
        """`count` bytes, or fewer at the end."""
        parts = bytearray()
        while len(parts) < count and (piece := self._read(count - len(parts))):
            parts += piece
        return bytes(parts)

    def exactly(self, count: int) -> bytes:
        parts = self.upto(count)
        if len(parts) != count:
            raise _broken("it ends early")
        return parts


class _Content:
    def __init__(self, stream: _Stream, size: int) -> None:
        self._stream = stream
        self._left = size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        piece = self._stream.exactly(min(self._left, PIECE_BYTES))
        self._left -= len(piece)
        return piece


def _next(stream: _Stream) -> Member | None:
    """The next entry, its extended headers applied; None at the end."""
    extended: dict[str, str] = {}
    for _ in range(EXTENDED_CHAIN_MAX + 1):
        header = stream.upto(BLOCK)
        if not header or header == bytes(BLOCK):
            return None
        if len(header) < BLOCK:
            raise _broken("it ends early")
        _check_sum(header)
        kind, size = header[156:157], _number(header[124:136])
        if kind in b"LKxg":
            content = _extended(stream, size)
            if kind in b"LK":
                extended["path" if kind == b"L" else "linkpath"] = _text(content.split(b"\0", 1)[0])
            elif kind == b"x":
                extended |= _pax(content)
            continue
        return _member(header, kind, size, extended)
    raise _broken("it has too many extended headers in a row")


def _member(header: bytes, kind: bytes, size: int, extended: dict[str, str]) -> Member:
    name = _text(header[:100].split(b"\0", 1)[0])
    if header[257:263] == b"ustar\0" and header[345] != 0:
        name = _text(header[345:500].split(b"\0", 1)[0]) + "/" + name
    path = extended.get("path", name)
    if "size" in extended:
        size = _decimal(extended["size"].encode())
    words = KINDS.get(kind, "of an unknown kind")
    if any(key.startswith("GNU.sparse") for key in extended):
        words = "a sparse file"
    elif words == "file" and path.endswith("/"):
        words = "folder"
    # Only regular files have content; the size field of a link or folder says nothing about what follows.
    size = size if words in ("file", "a sparse file", "of an unknown kind") else 0
    return Member(path, words, size, extended.get("linkpath", _text(header[157:257].split(b"\0", 1)[0])))


def _extended(stream: _Stream, size: int) -> bytes:
    if size > EXTENDED_BYTES_MAX:
        raise SteadyError("too_large", "The archive has a header that is too large.", {"bytes": size})
    content = stream.exactly(size)
    stream.exactly(-size % BLOCK)
    return content


def _pax(content: bytes) -> dict[str, str]:
    """Records of the form `LENGTH KEY=VALUE` and a newline; the length counts the whole record."""
    found: dict[str, str] = {}
    position = 0
    while position < len(content) and content[position] != 0:
        space = content.find(b" ", position, position + 8)
        length = _decimal(content[position:space]) if space > 0 else 0
        record = content[space + 1 : position + length]
        key, equals, value = record.partition(b"=")
        if space < 0 or not equals or not record.endswith(b"\n") or position + length > len(content):
            raise _broken("an extended header is damaged")
        found[_text(key)] = _text(value[:-1])
        position += length
    return found


def _check_sum(header: bytes) -> None:
    """The sum of all bytes, the checksum field itself counted as spaces."""
    if sum(header) - sum(header[148:156]) + 8 * 0x20 != _number(header[148:156]):
        raise _broken("a header's checksum is wrong")


def _number(field: bytes) -> int:
    """An octal field, or GNU's base-256 for large ones."""
    if field[0] & 0x80:
        return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip()
    if digits.strip(b"01234567"):
        raise _broken("a number in a header is wrong")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise _broken("a number in a header is wrong")
    return int(digits)


def _text(field: bytes) -> str:
    """Bytes that are not UTF-8 become surrogates, which no path may have."""
    return field.decode("utf-8", "surrogateescape")


def _broken(why: str) -> SteadyError:
    return SteadyError("invalid_archive", f"The archive cannot be read: {why}. Send tar, tar.gz or zip.")
