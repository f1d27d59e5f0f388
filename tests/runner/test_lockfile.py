"""bun.lock, before Bun reads it."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.runner.lockfile import canonical, modules_key, pins, resolved

SHA = f"sha512-{'a' * 86}=="
LOCKED = b"""{
  "lockfileVersion": 1,
  "configVersion": 1,
  "workspaces": { "": { "name": "app", "dependencies": { "hono": "^4", }, }, },
  "overrides": { "hono": "https://elsewhere/" },
  "packages": {
    "hono": ["hono@4.9.2", "", {}, "sha512-aaa"],

    "@scope/a.b": ["@scope/a.b@1.0.0-rc.1", "", { "bin": "x.js, }" }, "sha512-aaa"],
  }
}
""".replace(b"sha512-aaa", SHA.encode())
FOREIGN: list[object] = [
    ["hono@4.9.2", "https://registry.npmjs.org/left-pad/-/left-pad-1.3.0.tgz", {}, SHA],
    ["hono@4.9.2", "", {}],
    ["hono@4.9.2", "", {}, ""],
    ["hono@4.9.2", "", {}, "sha512-short"],
    ["hono@https://elsewhere/x.tgz", {}, SHA],
    ["hono@git+https://elsewhere/x.git#abc", {}, "abc"],
    ["hono@github:a/b#abc", {}, "abc", SHA],
    ["hono@workspace:x", "", {}, SHA],
    ["hono@../x", "", {}, SHA],
    "hono@4.9.2",
    {},
    None,
]


def test_the_lock_says_what_was_resolved() -> None:
    assert (resolved(LOCKED, "hono"), resolved(LOCKED, "@scope/a.b")) == ("4.9.2", "1.0.0-rc.1")
    assert (resolved(LOCKED, "hon"), resolved(LOCKED, "@scope/axb"), resolved(b"", "hono")) == ("", "", "")
    assert resolved(LOCKED.replace(b'["hono@', b'["other@'), "hono") == "", "another package under that name"
    assert pins(LOCKED)["hono"] == f'["hono@4.9.2", "", {{}}, "{SHA}"]'
    assert (list(pins(LOCKED)), pins(b"{"), pins(b'{"packages": 1}')) == (["hono", "@scope/a.b"], {}, {})


def test_the_key_is_all_that_decides_what_is_installed() -> None:
    key = modules_key({"a": "1", "b": "2"}, LOCKED, "1.4")
    assert key == modules_key({"b": "2", "a": "1"}, LOCKED, "1.4")
    others = [({"a": "1"}, LOCKED, "1.4"), ({"a": "1", "b": "2"}, b"", "1.4"), ({"a": "1", "b": "2"}, LOCKED, "1.5")]
    assert key not in [modules_key(*other) for other in others]


def test_bun_sees_what_is_pinned_by_its_hash_and_nothing_else() -> None:
    seen = json.loads(canonical(LOCKED))
    assert seen["packages"] == {
        "hono": ["hono@4.9.2", "", {}, SHA],
        "@scope/a.b": ["@scope/a.b@1.0.0-rc.1", "", {"bin": "x.js, }"}, SHA],
    }
    assert (seen["lockfileVersion"], seen["configVersion"], "overrides" in seen) == (1, 1, False)
    assert seen["workspaces"][""]["dependencies"] == {"hono": "^4"}
    assert canonical(b"") == b""


@pytest.mark.parametrize("entry", FOREIGN)
def test_an_entry_that_leads_elsewhere_is_left_out(entry: object) -> None:
    """Also another package's tarball of the same registry, which Bun would take for this one."""
    lock = json.dumps({"lockfileVersion": 1, "packages": {"hono": entry}}).encode()
    assert json.loads(canonical(lock))["packages"] == {}


@pytest.mark.parametrize(
    ("lock", "line"),
    [
        (b'{\n<<<<<<< HEAD\n"packages": {}}', 2),
        (b"[]", 1),
        (b'{"packages": {}, "packages": {}}', 1),
        (b"\xff", 1),
        (b"[" * 200_000, 1),
    ],
)
def test_one_that_cannot_be_read_is_refused_with_the_way_out(lock: bytes, line: int) -> None:
    with pytest.raises(SteadyError) as caught:
        canonical(lock)
    details = caught.value.details
    assert (caught.value.code, details["step"], details["cause"]) == ("deploy_failed", "install", "lockfile_invalid")
    assert (details["file"], details["line"]) == ("bun.lock", line)
    assert "bun install" in details["reason"]


@given(st.binary(max_size=200))
def test_whatever_it_is_the_answer_is_a_lock_or_a_refusal(lock: bytes) -> None:
    seen = b""
    with contextlib.suppress(SteadyError):
        seen = canonical(lock)
    assert seen == b"" or isinstance(json.loads(seen)["packages"], dict)
