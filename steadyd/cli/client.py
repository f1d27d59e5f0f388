"""The API client: where the server is, who we are to it, one call, one stream; a refusal becomes one plain line."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import httpx

from steadyd import __version__
from steadyd.cli.settings import config_folder
from steadyd.cli.tokens import Tokens
from steadyd.cli.verb import Failure
from steadyd.config import default_data

TOKEN_ID_CHARACTERS = 16
"""A token is listed under the head of its SHA-256."""
DEFAULT_SERVER = "http://localhost:8080"
CONNECT_SECONDS_MAX = 10.0
ANSWER_SECONDS_MAX = 60.0
DEPLOY_SECONDS_MAX = 600.0
"""A deploy may install dependencies before it answers."""
FETCH_SECONDS_MAX = 600.0
"""Between two pieces of an archive; before the first one the server copies the data."""
STREAM_LINE_BYTES_MAX = 1 << 20


class Refused(Failure):
    """The server said no: the sentence of its error answer, with its code and details."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class Server:
    """Which server to talk to, and as whom. `is_local` when it was found through the daemon's own files."""

    url: str
    token: str
    is_local: bool


def find_server(server: str | None, data: Path | None, token: str | None) -> Server:
    """The server to use: the one named, else the local daemon, as who logged in there, else as its operator; else
    localhost:8080.

    Raises:
        Failure: if `server` is not an http or https URL.
    """
    if server:
        return Server(checked_url(server), token or "", False)
    folder = data or default_data(os.environ)
    url = _line_of(folder / "url")
    if not url:
        return Server(DEFAULT_SERVER, token or "", True)
    url = checked_url(url)
    kept = Tokens(config_folder(os.environ)).user(url)
    return Server(url, token or kept or _line_of(folder / "operator.token"), True)


def checked_url(text: str) -> str:
    """A server's URL in the one spelling that tokens are kept under.

    Raises:
        Failure: for anything but `http(s)://HOST[:PORT]`.
    """
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise Failure(f"“{text}” is not a server's URL; write it like {DEFAULT_SERVER}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


class Client:
    """Calls to one server. Use as a context manager."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.is_local = server.is_local
        self.tokens = Tokens(config_folder(os.environ))
        self._token = server.token
        timeout = httpx.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        # A proxy named in the environment cannot reach this machine's loopback.
        self._http = httpx.Client(base_url=server.url, timeout=timeout, trust_env=not _is_loopback(server.url))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        app: str = "",
        seconds: float = ANSWER_SECONDS_MAX,
        kind: str = "application/gzip",
    ) -> dict[str, Any]:
        """One call; `path` is below /api. Answers the JSON object ({} for an empty answer).

        A `body` of bytes is of the type `kind`, a path is an app's archive, anything else goes as JSON.

        Raises:
            Refused: the server's error answer.
            Failure: no answer, or one that is not the API's.
        """
        with contextlib.ExitStack() as stack:
            headers, content = self._headers(app), {"json": body}
            if isinstance(body, bytes):
                headers, content = headers | {"Content-Type": kind}, {"content": body}
            elif isinstance(body, Path):
                from steadyd.appfile import TYPE

                headers = headers | {"Content-Type": TYPE}
                content = {"content": stack.enter_context(body.open("rb"))}
            response = self._send(method, path, seconds, headers=headers, **content)
        return _object(self.url, response) if response.content else {}

    def fetch(self, path: str, params: Mapping[str, Any], app: str, file: BinaryIO) -> None:
        """Write what a call answers into `file`, as it comes.

        Raises:
            Refused: the server's error answer.
            Failure: no answer, or one that breaks off.
        """
        timeout = httpx.Timeout(FETCH_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        try:
            with self._http.stream(
                "GET", f"/api{path}", params=params, headers=self._headers(app), timeout=timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(self.url, response)
                for piece in response.iter_raw():
                    file.write(piece)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    def log_in(self, username: str, password: str, label: str) -> dict[str, Any]:
        """Who has this name and password; from now on commands show a new token of theirs to this server.

        The session that this takes is ended. What was made here as a guest becomes the user's.
        """
        guest = self.tokens.guest(self.url)
        if guest and not self._is_valid(guest):
            guest = ""
        name = {"username": username, "password": password}
        answer = self._send("POST", "/sessions", ANSWER_SECONDS_MAX, json=name, headers=_headers(guest))
        made = self._send("POST", "/tokens", ANSWER_SECONDS_MAX, json={"label": label}, headers=_headers(""))
        self._send("DELETE", "/sessions/current", ANSWER_SECONDS_MAX, headers=_headers(""))
        self.tokens.log_in(self.url, str(_object(self.url, made).get("secret")))
        return _object(self.url, answer)

    def log_out(self) -> bool:
        """Revoke the token that `log_in` made, and forget it; false if nobody is logged in.

        Raises:
            Failure: no answer; it is not forgotten then.
        """
        token = self.tokens.user(self.url)
        if not token:
            return False
        number = hashlib.sha256(token.encode()).hexdigest()[:TOKEN_ID_CHARACTERS]
        with contextlib.suppress(Refused):  # it was worthless before
            self._send("DELETE", f"/tokens/{number}", ANSWER_SECONDS_MAX, headers=_headers(token))
        self.tokens.log_out(self.url)
        return True

    def text(self, path: str, accept: str, app: str) -> str:
        """What a call answers as text of the type `accept`.

        Raises:
            Refused: the server's error answer.
            Failure: no answer, or one that is not the API's.
        """
        response = self._send("GET", path, ANSWER_SECONDS_MAX, headers=self._headers(app) | {"Accept": accept})
        if response.headers.get("content-type", "").partition(";")[0] != accept:
            raise Failure(f"{self.url} answered, but not as a steadyd server does")
        return response.content.decode("utf-8", "replace")

    def stream(
        self,
        path: str,
        params: Mapping[str, Any],
        app: str,
        method: str = "GET",
        opened: Callable[[], None] = lambda: None,
    ) -> Generator[dict[str, Any], None, None]:
        """The objects of an NDJSON answer as they come; ends when the server ends it. `opened` is called as it begins.

        Raises:
            Refused: the server's error answer.
            Failure: no answer, a broken one, or a line past STREAM_LINE_BYTES_MAX.
        """
        headers = self._headers(app) | {"Accept": "application/x-ndjson"}
        timeout = httpx.Timeout(None, connect=CONNECT_SECONDS_MAX)
        try:
            with self._http.stream(method, f"/api{path}", params=params, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(self.url, response)
                opened()
                for line in _lines(response):
                    item = json.loads(line)
                    if isinstance(item, dict):
                        yield item
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        except ValueError:
            raise Failure(f"{self.url} sent something that is not JSON") from None

    def has_token(self, app: str) -> bool:
        """Whether the server is shown who we are."""
        return bool(self._token or self.tokens.find(self.url, app))

    def _send(self, method: str, path: str, seconds: float, **content: Any) -> httpx.Response:
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS_MAX)
        request = self._http.build_request(method, f"/api{path}", timeout=timeout, **content)
        try:
            response = self._http.send(request)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        if not response.is_success:
            raise _refusal(self.url, response)
        return response

    def _headers(self, app: str) -> dict[str, str]:
        return _headers(self._token or self.tokens.find(self.url, app))

    def _is_valid(self, token: str) -> bool:
        try:
            self._send("GET", "/me", ANSWER_SECONDS_MAX, headers=_headers(token))
        except Refused:
            return False
        return True

    def _unreachable(self, error: httpx.HTTPError) -> Failure:
        if isinstance(error, httpx.ConnectError):
            hint = "; start the daemon with: steadyd serve" if self.is_local else ""
            return Failure(f"no server answers at {self.url}{hint}")
        if isinstance(error, httpx.TimeoutException):
            return Failure(f"{self.url} did not answer in time")
        return Failure(f"the connection to {self.url} broke: {error or type(error).__name__}")


def app_path(name: str, rest: str = "") -> str:
    """`/apps/NAME…` with a name that cannot leave its place in the path."""
    return f"/apps/{quote(name, safe='')}{rest}"


# Private


def _headers(token: str) -> dict[str, str]:
    headers = {"User-Agent": f"steadyd/{__version__}"}
    return headers | {"Authorization": f"Bearer {token}"} if token else headers


def _line_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _lines(response: httpx.Response) -> Iterator[bytes]:
    """Whole lines of a streamed body. A CR or a Unicode line break inside a line does not end it."""
    pending = bytearray()
    for chunk in response.iter_bytes():
        pending += chunk
        *whole, rest = pending.split(b"\n")
        pending = bytearray(rest)
        if len(pending) > STREAM_LINE_BYTES_MAX:
            raise Failure(f"the server sent a line longer than {STREAM_LINE_BYTES_MAX >> 20} MiB")
        yield from (bytes(line) for line in whole if line.strip())
    if pending.strip():
        yield bytes(pending)


def _object(url: str, response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Failure(f"{url} answered {response.status_code}, but not as a steadyd server does")
    return answer


def _refusal(url: str, response: httpx.Response) -> Failure:
    if response.is_redirect:
        return Failure(f"{url} has moved to {response.headers.get('location', 'somewhere else')}; use that URL")
    try:
        error = response.json()["error"]
        return Refused(response.status_code, str(error["code"]), str(error["message"]), error.get("details") or {})
    except (ValueError, KeyError, TypeError, AttributeError):
        return Failure(f"{url} answered {response.status_code}, but not as a steadyd server does")
