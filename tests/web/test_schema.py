"""The types: strict in and out, and every state and limit in them is the product's own."""

from __future__ import annotations

import msgspec
import pytest

from steadyd.web import schema


def every_type() -> list[type[msgspec.Struct]]:
    return [kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, schema.Strict)]


@pytest.mark.parametrize("kind", every_type())
def test_an_unknown_field_is_an_error(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.forbid_unknown_fields
    assert all(name.islower() for name in kind.__struct_encode_fields__)


def test_a_missing_field_and_a_wrong_type_are_errors() -> None:
    for content in (b"{}", b'{"version": "1"}', b'{"version": 1.5}', b'{"version": true}', b'{"version": null}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(content, type=schema.RollbackBody)


def test_the_odd_names_of_the_contract() -> None:
    assert msgspec.json.decode(b'{"from": "x"}', type=schema.CreateBody).from_ == "x"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"from_": "x"}', type=schema.CreateBody)


def test_tails_are_bounded() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"tail": schema.TAIL_LINES_MAX + 1}, schema.TailQuery)
