from __future__ import annotations

from steadyd.errors import STATUS
from steadyd.web.meanings import MEANINGS


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    assert MEANINGS.keys() == STATUS.keys()


def test_an_entry_is_whole_sentences() -> None:
    for code, meaning in MEANINGS.items():
        for said in meaning:
            assert said[-1] == ".", code
            assert "!" not in said, code
            assert len(said) < 200, code
