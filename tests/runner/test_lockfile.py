"""bun.lock, before Bun reads it."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.runner.lockfile import SCRIPTED, Package, asked, canonical, modules_key, pins, resolved, trusted_packages

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


def test_the_lock_says_what_was_asked_for() -> None:
    assert asked(LOCKED) == ["hono"]
    assert [asked(lock) for lock in (b"", b"{", b"{}", b'{"workspaces": {"": {"dependencies": 1}}}')] == [[]] * 4


def test_the_key_is_all_that_decides_what_is_installed() -> None:
    key = modules_key({"a": "1", "b": "2"}, LOCKED, "1.4")
    assert key == modules_key({"b": "2", "a": "1"}, LOCKED, "1.4")
    others = [({"a": "1"}, LOCKED, "1.4"), ({"a": "1", "b": "2"}, b"", "1.4"), ({"a": "1", "b": "2"}, LOCKED, "1.5")]
    assert key not in [modules_key(*other) for other in others]


def lock(**needs: list[str]) -> bytes:
    """A lock that pins 1.0.0 of each place, which needs packages of these names."""
    entries = {}
    for place, names in needs.items():
        name = place if place.rpartition("/")[0] == "@s" else place.rpartition("/")[2]
        entries[place] = [f"{name}@1.0.0", "", {"dependencies": dict.fromkeys(names, "1")}, SHA]
    return json.dumps({"lockfileVersion": 1, "packages": entries}).encode()


def test_the_key_says_whose_scripts_ran() -> None:
    key = modules_key({"hono": "4"}, LOCKED, "1.4", ["hono"])
    assert key.endswith(SCRIPTED)
    assert key == modules_key({"hono": "4"}, LOCKED, "1.4", ["absent", "hono"])
    others = [modules_key({"hono": "4"}, LOCKED, "1.4", trusted) for trusted in ((), ["@scope/a.b"], ["absent"])]
    assert key not in others
    assert others[0] == others[2] != others[1]
    assert key.removesuffix(SCRIPTED) != others[0]


def test_what_is_trusted_comes_after_what_it_needs() -> None:
    """Also through others, in a package's own node_modules, and where a circle leaves no order."""
    places = {"a": ["@s/m"], "@s/m": ["z", "b"], "@s/m/z": [], "z": ["a"], "b": ["b"]}
    found = trusted_packages(lock(**places), ["a", "z", "b", "absent"])
    assert found == [
        Package("z", "@s/m/node_modules/z"), Package("b", "b"), Package("a", "a"), Package("z", "z"),
    ]  # fmt: skip
    assert trusted_packages(lock(**places), []) == []
    assert trusted_packages(b"", ["a"]) == []


def test_another_package_of_that_name_is_not_the_trusted_one() -> None:
    content = {"packages": {"esbuild": ["evil@1.0.0", "", {}, SHA], "mine": ["esbuild@1.0.0", "", {}, SHA]}}
    assert trusted_packages(json.dumps(content).encode(), ["esbuild"]) == [Package("esbuild", "mine")]


@pytest.mark.parametrize("place", ["..", "a/..", "{app}", "@/x", "a b", ".bin"])
def test_a_folder_that_no_package_can_have_is_none(place: str) -> None:
    content = {"packages": {place: ["a@1.0.0", "", {}, SHA]}}
    assert trusted_packages(json.dumps(content).encode(), ["a"]) == []


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"))))
def test_each_package_comes_once_and_first_where_nothing_goes_in_a_circle(needs: dict[str, list[str]]) -> None:
    forward = {name: [other for other in others if other > name] for name, others in needs.items()}
    found = [package.name for package in trusted_packages(lock(**forward), "abcdef")]
    assert sorted(found) == sorted(needs)
    for name, others in forward.items():
        assert all(found.index(other) < found.index(name) for other in others if other in needs)


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
