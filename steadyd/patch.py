"""What differs between two trees: which files, and as a patch that `git apply` takes. No I/O.

The form is git's (https://git-scm.com/docs/diff-format): unified hunks for text, a `GIT binary patch` for the rest.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from steadyd.edits import Span, Work, edits
from steadyd.model import File

CONTEXT_LINES = 3
BINARY_LINE_BYTES = 52
NO_END = "\n\\ No newline at end of file\n"
COARSE = "Too different to be compared line by line: shown as wholly replaced."
Status = Literal["added", "modified", "deleted"]


@dataclass(frozen=True, slots=True)
class Change:
    """One file that differs. `before` is None for an added one, `after` for a deleted one."""

    path: str
    before: File | None
    after: File | None

    @property
    def status(self) -> Status:
        return "added" if self.before is None else "deleted" if self.after is None else "modified"


@dataclass(frozen=True, slots=True)
class FilePatch:
    """How one file changes. `text` is git's, header included; `added` and `deleted` count lines of text."""

    text: str
    binary: bool = False
    added: int = 0
    deleted: int = 0
    note: str = ""
    """What the reader should know of it."""


def compare(before: Iterable[File], after: Iterable[File]) -> list[Change]:
    """The files that differ, by path."""
    old, new = ({file.path: file for file in files} for files in (before, after))
    changes = [Change(path, old.get(path), new.get(path)) for path in sorted(old.keys() | new.keys())]
    return [c for c in changes if c.before is None or c.after is None or c.before.sha256 != c.after.sha256]


def patch(path: str, before: bytes | None, after: bytes | None, work: Work) -> FilePatch:
    """The patch of one file; None where it is not there."""
    old, new = _text(before), _text(after)
    if old is None or new is None:
        return FilePatch(_head(path, before, after) + _literal(after or b""), binary=True)
    old_lines, new_lines = _lines(old), _lines(new)
    spans, shortest = edits(old_lines, new_lines, work)
    text = _head(path, before, after)
    if spans:
        text += _names(path, before, after) + "".join(_hunks(old_lines, new_lines, spans))
    return FilePatch(
        text,
        added=sum(span.new_last - span.new_first for span in spans),
        deleted=sum(span.last - span.first for span in spans),
        note="" if shortest else COARSE,
    )


# Private


def _text(content: bytes | None) -> str | None:
    """None for what is no text; a file that is not there is an empty one."""
    try:
        text = (content or b"").decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _lines(text: str) -> list[str]:
    """Each with its newline, which the last may lack."""
    *whole, last = text.split("\n")
    return [line + "\n" for line in whole] + ([last] if last else [])


def _head(path: str, before: bytes | None, after: bytes | None) -> str:
    old, new = _quoted("a/" + path), _quoted("b/" + path)
    kind = "new file mode 100644\n" if before is None else "deleted file mode 100644\n" if after is None else ""
    mode = "" if kind else " 100644"
    return f"diff --git {old} {new}\n{kind}index {_object(before)}..{_object(after)}{mode}\n"


def _names(path: str, before: bytes | None, after: bytes | None) -> str:
    # A tab ends a name that has a space in it; without one, `patch` would look for a time there.
    tab = "\t" if " " in path else ""
    old = "/dev/null" if before is None else _quoted("a/" + path) + tab
    new = "/dev/null" if after is None else _quoted("b/" + path) + tab
    return f"--- {old}\n+++ {new}\n"


def _quoted(name: str) -> str:
    """Of what git would quote, a path of a version can hold only the quote itself."""
    return '"' + name.replace('"', '\\"') + '"' if '"' in name else name


def _object(content: bytes | None) -> str:
    """The content's name in git, in full: a binary patch is applied only with it."""
    if content is None:
        return "0" * 40
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _hunks(old: Sequence[str], new: Sequence[str], spans: Sequence[Span]) -> Iterator[str]:
    for group in _groups(spans):
        begin, end = max(0, group[0].first - CONTEXT_LINES), min(len(old), group[-1].last + CONTEXT_LINES)
        new_begin = group[0].new_first - (group[0].first - begin)
        new_end = group[-1].new_last + (end - group[-1].last)
        yield f"@@ -{_range(begin, end)} +{_range(new_begin, new_end)} @@\n"
        at = begin
        for span in group:
            yield from _marked(" ", old[at : span.first])
            yield from _marked("-", old[span.first : span.last])
            yield from _marked("+", new[span.new_first : span.new_last])
            at = span.last
        yield from _marked(" ", old[at:end])


def _groups(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Spans whose contexts touch share a hunk."""
    group: list[Span] = []
    for span in spans:
        if group and span.first - group[-1].last > 2 * CONTEXT_LINES:
            yield group
            group = []
        group.append(span)
    yield group


def _range(first: int, last: int) -> str:
    """Counted from 1; of an empty range, the line before it."""
    count = last - first
    return f"{first + 1}" if count == 1 else f"{first + 1 if count else first},{count}"


def _marked(mark: str, lines: Iterable[str]) -> Iterator[str]:
    return (mark + (line if line.endswith("\n") else line + NO_END) for line in lines)


def _literal(content: bytes) -> str:
    """The whole new content, deflated, in lines of git's base 85 that begin with their length."""
    packed = zlib.compress(content)
    pieces = [packed[i : i + BINARY_LINE_BYTES] for i in range(0, len(packed), BINARY_LINE_BYTES)]
    lines = [_length(len(piece)) + base64.b85encode(piece, pad=True).decode() for piece in pieces]
    return f"GIT binary patch\nliteral {len(content)}\n" + "\n".join(lines) + "\n\n"


def _length(count: int) -> str:
    return chr(ord("A") + count - 1) if count <= 26 else chr(ord("a") + count - 27)
