"""What an object store's error means, told from its words. No I/O.

`obstore` has a class for few of them and puts the store's whole answer into the text: the status line, and of S3's XML
the `<Code>` (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
"""

from __future__ import annotations

import re
from enum import Enum, auto

from steadyd.errors import SteadyError

CREDENTIALS = re.compile(r"AccessKey|Signature|Token|Unauthorized|Credential|\b40[13]\b")
WORDS = (
    ("dns error", "its name is not found"),
    ("ConnectionReset|reset by peer", "it resets connections"),
    ("kind: Connect", "no connection"),
    ("timed out|TimedOut", "no answer in time"),
    (
        "IncompleteMessage|UnexpectedEof|BrokenPipe|[Bb]ody error|kind: (Body|Decode|Interrupted)",
        "its answers end early",
    ),
)
"""Of what the HTTP client says, where there was no whole answer."""
REASON_CHARACTERS_MAX = 200


class Trouble(Enum):
    """ABSENT: no such object; EXISTS: there is one already; BEYOND: it is not that long; REFUSED: trying again does not
    help; AWAY: it may."""

    ABSENT = auto()
    EXISTS = auto()
    BEYOND = auto()
    REFUSED = auto()
    AWAY = auto()


def trouble(name: str, text: str) -> Trouble:
    """What an error of class `name` with this text is."""
    code, status = _code(text), _status(text)
    if code == "NoSuchBucket":
        return Trouble.REFUSED
    if name in ("NotFoundError", "FileNotFoundError") or status == 404:
        return Trouble.ABSENT
    if name in ("AlreadyExistsError", "PreconditionError") or status == 412:
        return Trouble.EXISTS
    if status == 416 or "InvalidRange" in text:
        return Trouble.BEYOND
    if status in (408, 409, 425, 429) or code in ("RequestTimeTooSkewed", "RequestTimeout"):
        return Trouble.AWAY
    denied = name in ("PermissionDeniedError", "UnauthenticatedError", "NotSupportedError", "InvalidPathError")
    local = re.search(r"Permission denied|Read-only file system|Not a directory", text)
    return Trouble.REFUSED if denied or local or 300 <= status < 500 or status == 501 else Trouble.AWAY


def reason(text: str) -> str:
    """The one phrase of an error's text that a person wants to read: never the whole answer, nor the address asked."""
    if found := re.search(r"No space left on device|Permission denied|Read-only file system|Not a directory", text):
        return found[0].lower()
    if code := _code(text):
        return code
    if status := _status(text):
        return {507: "507, the store is full", 503: "503, the store is busy"}.get(status, str(status))
    known = [said for word, said in WORDS if re.search(word, text)]
    return known[0] if known else text.partition("\n")[0].partition(": ")[0][:REASON_CHARACTERS_MAX]


def away(where: str, why: str) -> SteadyError:
    """`replica_away`, with what happens next."""
    message = f"The backup target {where} does not answer as it should ({why}). Apps go on; it is tried again."
    return SteadyError("replica_away", message, retry_after=10)


def refused(where: str, why: str) -> SteadyError:
    """`replica_refused`, with what to do."""
    if why == "NoSuchBucket":
        advice = "Make the bucket, or correct --replica."
    elif CREDENTIALS.search(why) or why == "AccessDenied":
        advice = "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or --replica-credentials."
    else:
        advice = "Correct --replica, or what the target allows."
    return SteadyError("replica_refused", f"The backup target {where} refuses to work ({why}). {advice}")


def unfit(where: str) -> SteadyError:
    """`replica_unfit`: two hosts could write over each other's backups there."""
    return SteadyError(
        "replica_unfit",
        f"The backup target {where} takes If-None-Match and ignores it, so nothing keeps two hosts from writing over "
        "each other's backups there. Choose a store with conditional writes, or a folder: --replica file:///path.",
    )


# Private


def _status(text: str) -> int:
    match = re.search(r"status code: (\d{3})", text)
    return int(match[1]) if match else 0


def _code(text: str) -> str:
    match = re.search(r"<Code>(\w{1,64})</Code>", text)
    return match[1] if match else ""
