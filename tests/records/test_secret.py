"""What is kept of a secret leads back to none."""

from __future__ import annotations

import apsw

from steadyd.records.secret import PUBLIC_ID, hash_secret, public_id


def test_an_id_is_the_head_of_the_hash_here_and_in_sql() -> None:
    hashed = hash_secret("steady_abc")
    assert len(hashed) == 32
    assert public_id(hashed) == hashed.hex()[:16]
    rows = apsw.Connection(":memory:").execute(f"SELECT {PUBLIC_ID} FROM (SELECT ? AS hash)", (hashed,)).fetchall()
    assert rows == [(public_id(hashed),)]
    assert hash_secret("\udcff") != hashed
