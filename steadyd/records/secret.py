"""What is stored of a secret, and how a record of one is named. No I/O."""

from __future__ import annotations

import hashlib

PUBLIC_BYTES = 8
PUBLIC_ID = f"lower(hex(substr(hash, 1, {PUBLIC_BYTES})))"
"""`public_id` in SQL."""


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret. The secrets are random, so a plain hash suffices and look-up is by equality."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def public_id(hashed: bytes) -> str:
    """What tells one secret's record from others and leads back to no secret: the head of its hash, in hexadecimal."""
    return hashed[:PUBLIC_BYTES].hex()
