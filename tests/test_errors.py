from __future__ import annotations

import ast
import json

import pytest

from steadyd.errors import STATUS, SteadyError
from tests.test_house import dotted, sources


def test_an_error_is_a_code_a_sentence_and_details() -> None:
    error = SteadyError("name_taken", "The name is taken.", {"name": "hello"}, retry_after=3)
    assert (error.status, str(error), error.retry_after) == (409, "The name is taken.", 3)
    assert json.loads(json.dumps(error.body())) == {
        "error": {"code": "name_taken", "message": "The name is taken.", "details": {"name": "hello"}}
    }


def test_what_it_quotes_can_be_stored_and_sent() -> None:
    error = SteadyError("not_found", "There is no “\udcff\udcfe.sqlite”.")
    assert (error.message, str(error)) == ("There is no “??.sqlite”.",) * 2


def test_every_status_is_an_error() -> None:
    assert [code for code, status in STATUS.items() if not 400 <= status <= 599] == []


def codes_raised() -> set[str]:
    return {
        str(node.args[0].value)
        for source in sources("steadyd")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and dotted(node.func) == "SteadyError" and node.args
        if isinstance(node.args[0], ast.Constant)
    }


def test_every_code_that_is_raised_has_a_status() -> None:
    assert codes_raised() - STATUS.keys() == set()


def test_an_unknown_code_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        _ = SteadyError("no_such_code", "").status
