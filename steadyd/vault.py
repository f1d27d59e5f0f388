"""Seals what must not be readable in the database. The keys lie in one file beside it, outside every backup of it.

A sealed value is `key id (4 bytes) | nonce (12) | AES-256-GCM ciphertext and tag`, bound to its place by the additional
data: moved to another row it does not open. The file has one `ID KEY` a line (hex); the first seals, every one opens.
Rotation puts a new key first, has everything sealed anew, and only then drops the old one: killed anywhere between, no
value is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from steadyd.errors import SteadyError

ID_BYTES, NONCE_BYTES, KEY_BYTES, TAG_BYTES = 4, 12, 32, 16
OVERHEAD_BYTES = ID_BYTES + NONCE_BYTES + TAG_BYTES
"""By how much a sealed value is longer than what it holds."""
KEY_FILE_BYTES_MAX = 64 << 10
HEADING = "# The keys of this host's stored variables. Keep a copy, apart from the database's."
LINE = re.compile(r"([0-9a-f]{8}) ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Key:
    """One key with the name by which sealed values know it."""

    id: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.id.hex()})"


class Vault:
    """The keys of one host, read when first needed, made when something is sealed for the first time. Any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._keys: tuple[Key, ...] | None = None
        self._retired: tuple[Key, ...] = ()

    def seal(self, value: bytes, place: bytes) -> bytes:
        """`value` for the row that `place` names. Call `make` before, where there may be no key yet.

        Raises:
            SteadyError: `secrets_locked` without a key.
        """
        key = self._first()
        nonce = secrets.token_bytes(NONCE_BYTES)
        return key.id + nonce + AESGCM(key.secret).encrypt(nonce, value, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What was sealed for `place`.

        Raises:
            SteadyError: `secrets_locked` if its key is not here, or it was sealed for another place or damaged.
        """
        key = self._find(key_id(sealed))
        if key is None:
            raise _locked("the key that sealed them is not here.")
        nonce = sealed[ID_BYTES : ID_BYTES + NONCE_BYTES]
        try:
            return AESGCM(key.secret).decrypt(nonce, sealed[ID_BYTES + NONCE_BYTES :], place)
        except (InvalidTag, ValueError):
            raise _locked("what is stored is damaged, or was sealed for another place.") from None

    def fingerprint(self, value: bytes, place: bytes) -> bytes:
        """32 bytes that are equal for equal values of one place, and tell nothing to whom has no key. They change when
        the key does.

        Raises:
            SteadyError: `secrets_locked` without a key.
        """
        derived = hmac.digest(self._first().secret, b"fingerprint", hashlib.sha256)
        return hmac.digest(derived, len(place).to_bytes(4, "big") + place + value, hashlib.sha256)

    def make(self) -> None:
        """Have a key: the file's, or a new one where there is no file. It is on disk when this returns.

        Raises:
            SteadyError: `secrets_locked` if the file cannot be read.
        """
        with self._lock:
            if not self._load():
                self._write((_new_key(),))

    @property
    def problem(self) -> str:
        """Why the file cannot be used, for its operator; "" if it can, or there is none yet."""
        try:
            self._load()
        except SteadyError as error:
            return f"{self.path}: {error.message}"
        return ""

    @property
    def has_key(self) -> bool:
        return not self.problem and bool(self._keys)

    @property
    def is_rotating(self) -> bool:
        """Whether the file has older keys too: a rotation has not ended, or somebody put them back."""
        return not self.problem and len(self._keys or ()) > 1

    def knows(self, sealed: bytes) -> bool:
        """Whether the key is here that sealed it; its beginning will do."""
        with contextlib.suppress(SteadyError):
            return self._find(key_id(sealed)) is not None
        return False

    def rotate(self) -> None:
        """A new key from now on; those before still open what they sealed.

        Raises:
            SteadyError: `secrets_locked` if the file cannot be read.
        """
        with self._lock:
            self._write((_new_key(), *self._load()))

    def retire(self, used: Collection[bytes]) -> None:
        """Drop from the file every older key whose id is not in `used`. Whoever read before may still open."""
        with self._lock:
            first, *older = self._load()
            kept = tuple(key for key in older if key.id in used)
            self._retired += tuple(key for key in older if key not in kept)
            self._write((first, *kept))

    # Private

    def _first(self) -> Key:
        keys = self._load()
        if not keys:
            raise _locked("the key file is missing.")
        return keys[0]

    def _find(self, wanted: bytes) -> Key | None:
        known = {key.id: key for key in (*self._retired, *self._load())}
        if wanted not in known:  # it may have been put back meanwhile
            known = {key.id: key for key in self._load(again=True)}
        return known.get(wanted)

    def _load(self, again: bool = False) -> tuple[Key, ...]:
        """The keys; none where there is no file."""
        with self._lock:
            if self._keys is None or again:
                try:
                    self._keys = parse_keys(_read(self.path))
                except FileNotFoundError:
                    return ()
                except (OSError, ValueError) as error:
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    raise _locked(f"the key file cannot be used: {reason}.") from None
            return self._keys

    def _write(self, keys: tuple[Key, ...]) -> None:
        """The whole file anew; the old one stands until the new one is on disk."""
        part = self.path.with_name(f"{self.path.name}.part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(write_keys(keys))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._keys = keys


def key_id(sealed: bytes) -> bytes:
    """Which key sealed it."""
    return sealed[:ID_BYTES]


def parse_keys(text: str) -> tuple[Key, ...]:
    """The keys of a file's text, the one that seals first.

    Raises:
        ValueError: with the number of the line that is none.
    """
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError(f"line {number} is no key")
        keys.append(Key(bytes.fromhex(found[1]), bytes.fromhex(found[2])))
    if not keys:
        raise ValueError("it holds no key")
    return tuple(keys)


def write_keys(keys: Iterable[Key]) -> str:
    """The file's text."""
    return "\n".join([HEADING, *(f"{key.id.hex()} {key.secret.hex()}" for key in keys)]) + "\n"


# Private


def _locked(why: str) -> SteadyError:
    message = f"Stored variables cannot be read: {why} The operator of this host has to put the right key file back."
    return SteadyError("secrets_locked", message, retry_after=60)


def _new_key() -> Key:
    return Key(secrets.token_bytes(ID_BYTES), secrets.token_bytes(KEY_BYTES))


def _read(path: Path) -> str:
    with open(path, "rb") as file:
        text = file.read(KEY_FILE_BYTES_MAX + 1)
    if len(text) > KEY_FILE_BYTES_MAX:
        raise ValueError("it is too large")
    return text.decode("ascii")
