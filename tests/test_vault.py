from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.vault import KEY_BYTES, KEY_FILE_BYTES_MAX, OVERHEAD_BYTES, Key, Vault, key_id, parse_keys, write_keys

PLACE = b"an app's row"
KEYS = st.builds(Key, st.binary(min_size=4, max_size=4), st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = Vault(tmp_path / "secrets.key")
    made.make()
    return made


def refuses(vault: Vault, sealed: bytes, place: bytes = PLACE) -> str:
    with pytest.raises(SteadyError) as caught:
        vault.open(sealed, place)
    assert (caught.value.code, caught.value.status) == ("secrets_locked", 503)
    assert str(vault.path) not in caught.value.message  # whoever asks may be anybody
    return caught.value.message


@given(st.binary(max_size=300), st.binary(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_sealed_opens_for_its_place_alone(vault: Vault, value: bytes, place: bytes) -> None:
    sealed = vault.seal(value, place)
    assert vault.open(sealed, place) == value
    assert len(sealed) == len(value) + OVERHEAD_BYTES
    assert sealed != vault.seal(value, place)  # nobody sees that two are equal
    assert "another place" in refuses(vault, sealed, place + b"x")


def test_what_was_changed_does_not_open(vault: Vault) -> None:
    sealed = bytearray(vault.seal(b"value", PLACE))
    for position in range(4, len(sealed)):
        sealed[position] ^= 1
        assert "damaged" in refuses(vault, bytes(sealed))
        sealed[position] ^= 1
    assert "damaged" in refuses(vault, bytes(sealed[:10]))
    assert vault.open(bytes(sealed), PLACE) == b"value"


def test_the_key_is_made_at_first_use_and_is_its_owners_alone(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secrets.key")
    assert (vault.has_key, vault.problem, vault.path.exists()) == (False, "", False)
    with pytest.raises(SteadyError, match="missing"):
        vault.seal(b"value", PLACE)
    assert not vault.path.exists()  # nobody asked for one: what was stored before has another
    old = os.umask(0)
    try:
        vault.make()
    finally:
        os.umask(old)
    assert vault.path.stat().st_mode & 0o777 == 0o600
    before = vault.path.read_text()
    vault.make()
    assert vault.path.read_text() == before
    assert Vault(vault.path).open(vault.seal(b"value", PLACE), PLACE) == b"value"
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.key"]


def test_without_the_right_file_nothing_opens_until_it_is_back(vault: Vault) -> None:
    sealed, kept = vault.seal(b"value", PLACE), vault.path.read_text()
    vault.path.unlink()
    missing = Vault(vault.path)
    assert "not here" in refuses(missing, sealed)
    vault.path.write_text(write_keys([Key(b"abcd", bytes(KEY_BYTES))]))
    other = Vault(vault.path)
    assert "not here" in refuses(other, sealed)
    for text in ("nonsense\n", "", "\xff", "#" * (KEY_FILE_BYTES_MAX + 1)):
        vault.path.write_text(text, encoding="latin-1")
        damaged = Vault(vault.path)
        assert "cannot be used" in refuses(damaged, sealed)
        assert str(vault.path) in damaged.problem
        assert not damaged.knows(sealed)
        with pytest.raises(SteadyError, match="cannot be used"):
            damaged.make()
        assert vault.path.read_text(encoding="latin-1") == text  # whatever it is, it is not ours to replace
    vault.path.write_text(kept)
    assert [one.open(sealed, PLACE) for one in (missing, other, damaged)] == [b"value"] * 3


def test_a_rotation_may_end_anywhere(vault: Vault) -> None:
    old = vault.seal(b"value", PLACE)
    vault.rotate()
    killed = Vault(vault.path)
    assert killed.is_rotating
    new = killed.seal(killed.open(old, PLACE), PLACE)
    assert key_id(new) != key_id(old)
    killed.retire([key_id(old)])
    assert Vault(vault.path).open(old, PLACE) == b"value"  # somebody still needs it
    killed.retire([])
    after = Vault(vault.path)
    assert (after.is_rotating, after.open(new, PLACE)) == (False, b"value")
    assert "not here" in refuses(after, old)
    assert (after.knows(new), after.knows(old)) == (True, False)
    assert killed.open(old, PLACE) == b"value"  # it was read before the rotation's end


def test_a_fingerprint_tells_equal_from_different_and_nothing_else(vault: Vault) -> None:
    one = vault.fingerprint(b"value", PLACE)
    assert one == Vault(vault.path).fingerprint(b"value", PLACE)
    others = [vault.fingerprint(b"value", b"elsewhere"), vault.fingerprint(b"other", PLACE)]
    others += [vault.fingerprint(b"rowvalue", PLACE[:-3])]
    vault.rotate()
    others.append(vault.fingerprint(b"value", PLACE))
    assert len({one, *others}) == 5


@given(st.lists(KEYS, min_size=1))
def test_the_file_keeps_every_key_in_order(keys: list[Key]) -> None:
    assert parse_keys(write_keys(keys)) == tuple(keys)


def test_a_key_is_never_printed() -> None:
    assert "00" * 4 not in repr(Key(b"abcd", bytes(KEY_BYTES)))
