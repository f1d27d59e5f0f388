"""multipart/form-data as files by path, while it arrives: `curl -F index.ts=@index.ts -F logo.png=@logo.png`.

A part's name is its path. A part without a file name that is called like an option (`name`, `temporary`, …) is that
option. Source: RFC 7578.
"""

from __future__ import annotations

import logging

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from steadyd.errors import SteadyError
from steadyd.tree import DEFAULT_LIMITS, TreeLimits

OPTIONS = ("name", "temporary", "merge", "base_version", "trial", "test", "rehearse", "strict", "message")
OPTION_BYTES_MAX = 2_000


class Parts:
    """Feed the body in pieces, then `finish`; `files` and `options` hold what came.

    Raises:
        SteadyError: `bad_request` for a broken body, `invalid` for a part without a name or twice the same,
            `too_large` as soon as a limit is passed.
    """

    def __init__(self, content_type: str, limits: TreeLimits = DEFAULT_LIMITS) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self.files: dict[str, bytes] = {}
        self._limits = limits
        self.options: dict[str, str] = {}
        self._header = [bytearray(), bytearray()]
        self._disposition = b""
        self._path = ""
        self._is_option = False
        self._content = bytearray()
        self._kept = 0
        self._ended = False
        if not boundary:
            raise _broken("its content type names no boundary")
        try:
            self._parser = python_multipart.MultipartParser(boundary, self._callbacks())
            # It would warn about each broken body, and anybody may send one: the answer says enough.
            self._parser.logger = logging.Logger("multipart", logging.CRITICAL)
        except FormParserError as error:
            raise _broken(str(error)) from None

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _broken(str(error)) from None

    def finish(self) -> None:
        """The body is over: complain if the last boundary never came."""
        if not self._ended:
            raise _broken("it ends before its last boundary")

    # Private

    def _callbacks(self) -> python_multipart.multipart.MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._named,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all_ended,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._content = bytearray()

    def _header_end(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = [bytearray(), bytearray()]

    def _named(self) -> None:
        options = parse_options_header(self._disposition)[1]
        try:
            # A quote in a name travels as %22 (https://html.spec.whatwg.org, "multipart/form-data encoding").
            name = options.get(b"name", b"").decode().replace("%22", '"')
        except UnicodeDecodeError:
            raise SteadyError("invalid", "A part's name is not UTF-8.") from None
        if not name:
            raise SteadyError("invalid", "A part has no name. Name each one after its file: -F index.ts=@index.ts")
        self._path = name
        self._is_option = name in OPTIONS and b"filename" not in options
        if name in (self.options if self._is_option else self.files):
            raise SteadyError("invalid", f"“{name[:200]}” was sent twice.", {"path": name[:200]})
        self._limits.check_files(len(self.files) + (not self._is_option))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]
        self._kept += end - start
        if not self._is_option:
            self._limits.check_file(self._path, len(self._content))
        elif len(self._content) > OPTION_BYTES_MAX:
            details = {"path": self._path, "limit_bytes": OPTION_BYTES_MAX}
            raise SteadyError("too_large", f"“{self._path}” is larger than {OPTION_BYTES_MAX} bytes.", details)
        self._limits.check_total(self._kept)

    def _end(self) -> None:
        content = bytes(self._content)
        if self._is_option:
            self.options[self._path] = content.decode("utf-8", "replace")
        else:
            self.files[self._path] = content

    def _all_ended(self) -> None:
        self._ended = True


def _broken(why: str) -> SteadyError:
    return SteadyError("bad_request", f"The body is not multipart/form-data: {why}.")
