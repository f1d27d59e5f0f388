"""What is said of an installation that failed."""

from __future__ import annotations

import pytest

from steadyd.runner.diagnosis import STILL_RUN, Diagnosis, Said, diagnose, diagnose_script, find
from tests.runner.conftest import tree

SOURCE = 'const a = 1;\nimport { x } from "@scope/name/sub";\nconst y = require("other");\n'
TREE = tree({"index.ts": SOURCE, "package.json": '{\n  "dependencies": {\n    "hono": "99"\n  }\n}'})


def said(*lines: str, **more: object) -> Diagnosis:
    return diagnose(Said(lines, "exit code 1", **more), TREE)  # type: ignore[arg-type]


def test_a_package_is_found_where_it_is_listed_or_imported() -> None:
    assert find(TREE, "hono") == ("package.json", 3)
    assert find(TREE, "@scope/name") == ("index.ts", 2)
    assert find(TREE, "other") == ("index.ts", 3)
    assert find(TREE, "scope") == ("", 0)


def test_a_package_that_is_not_there() -> None:
    found = said("error: GET https://registry.npmjs.org/@scope%2fname - 404", "error: @scope/name@1 failed to resolve")
    assert found.reason == "“@scope/name” is not in the registry (imported in index.ts:2). Check the name."
    assert (found.cause, found.details) == (
        "package_not_found",
        {"package": "@scope/name", "file": "index.ts", "line": 2},
    )
    inner = said("error: GET https://registry.npmjs.org/inner - 404")
    assert inner.reason == "“inner” is not in the registry, and one of the dependencies needs it. Check the name."


def test_a_version_that_is_not_there() -> None:
    line = 'error: No version matching "99" found for specifier "hono" (but package exists)'
    found = said(line, nearest=["4.9.2", "4.9.1"])
    assert found.reason == "“hono” has no version 99 (listed in package.json:3). It has 4.9.2, 4.9.1."
    assert (found.cause, found.details["nearest"], found.details["line"]) == (
        "version_not_found",
        ["4.9.2", "4.9.1"],
        3,
    )
    tag = said('error: Package "hono" with tag "next" not found, but package exists')
    assert (tag.cause, tag.details["version"]) == ("version_not_found", "next")


@pytest.mark.parametrize(
    ("found", "cause", "told"),
    [
        (said(trouble=("registry_away", "x cannot be reached.")), "registry_away", f"x cannot be reached. {STILL_RUN}"),
        (said("error: Timeout downloading tarball hono"), "registry_away", STILL_RUN),
        (said(trouble=("too_large", "too much.")), "too_large", "too much."),
        (said(timed_out_seconds=120.0), "timeout", "within 120 s"),
        (said("error: Integrity check failed for tarball: hono"), "integrity_failed", "not what bun.lock pins"),
        (said("error: something else"), "install_failed", "something else"),
        (said(), "install_failed", "bun install ended with exit code 1."),
    ],
)
def test_each_cause_has_a_word_and_a_sentence(found: Diagnosis, cause: str, told: str) -> None:
    assert found.cause == cause
    assert told in found.reason


def test_a_script_that_fails_is_told_with_its_package() -> None:
    failed = diagnose_script("pad", Said([], "exit code 7"))
    assert (failed.cause, failed.details) == ("script_failed", {"package": "pad"})
    assert "“pad” ended with exit code 7" in failed.reason
    late = diagnose_script("pad", Said([], "", timed_out_seconds=120.0))
    assert (late.cause, late.details) == ("timeout", {"package": "pad"})
    assert "120 s" in late.reason


def test_it_is_the_error_of_the_contract() -> None:
    error = said("error: GET https://registry.npmjs.org/hono - 404").as_error(["last line"])
    assert error.code == "deploy_failed"
    assert error.details["step"] == "install"
    assert error.details["logs"] == ["last line"]
    assert error.details["reason"] in error.message
