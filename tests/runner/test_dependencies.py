"""What may be asked for."""

from __future__ import annotations

import json

import pytest

from steadyd.errors import SteadyError
from steadyd.runner.dependencies import DEPENDENCIES_MAX, declared_dependencies, trusted_dependencies
from tests.runner.conftest import tree


def package(**content: object) -> str:
    return json.dumps(content)


def refusal(dependencies: object) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        declared_dependencies(tree({"package.json": package(dependencies=dependencies)}))
    return caught.value


FINE = (
    ("^1.2.3|1.x || >=2.0.0 <3|*||latest|next-14|1.0.0-rc.1+build.5|~1|1 - 2|npm:hono@^4|npm:@scope/name@1|npm:other")
    .replace(" || ", " OR ")
    .split("|")
)


@pytest.mark.parametrize("spec", [spec.replace(" OR ", " || ") for spec in FINE])
def test_ranges_tags_and_other_names_of_the_registry_are_fine(spec: str) -> None:
    assert declared_dependencies(tree({"package.json": package(dependencies={"a": spec})})) == {"a": spec}


PLACES = """
file:/etc FILE:/etc link:../x workspace:* portal:x http://127.0.0.1/x.tgz https://x/y.tgz git://x/y git+ssh://git@x/y
git@github.com:a/b.git ssh://x /etc ./x ../x . .. ~/x user/repository github:user/repository gist:11081aaa281
gitlab:a/b npm:../x npm:http://x x\\y $(id)
"""


@pytest.mark.parametrize("spec", [*PLACES.split(), "1.0.0\nx", 3, None, {}, []])
def test_paths_and_addresses_are_refused_by_name(spec: object) -> None:
    error = refusal({"sneaky": spec})
    assert (error.code, error.details["dependency"], error.details["file"]) == ("invalid", "sneaky", "package.json")


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "@a", "@a/", "", ".", "a b", "a\n", "@A/b", "-" * 3 + "/x", "http://x"]
)
def test_names_that_no_package_has_are_refused(name: str) -> None:
    assert refusal({name: "1"}).code == "invalid"


@pytest.mark.parametrize("group", [[], "hono", 1])
def test_a_group_must_be_an_object(group: object) -> None:
    assert refusal(group).code == "invalid"


def test_development_dependencies_are_left_out_and_the_others_are_joined() -> None:
    files = {
        "package.json": package(
            dependencies={"a": "1"},
            optionalDependencies={"b": "2"},
            peerDependencies={"a": "3"},
            devDependencies={"d": "4"},
        )
    }
    assert declared_dependencies(tree(files)) == {"a": "1", "b": "2"}


def test_the_number_of_dependencies_is_limited() -> None:
    many = {f"p{number}": "1" for number in range(DEPENDENCIES_MAX)}
    assert len(declared_dependencies(tree({"package.json": package(dependencies=many)}))) == DEPENDENCIES_MAX
    assert refusal({**many, "more": "1"}).code == "too_large"


def test_who_may_run_scripts_is_said_by_a_list_and_by_nobody_else() -> None:
    assert trusted_dependencies(tree("")) == ()
    assert trusted_dependencies(tree({"package.json": package(trustedDependencies=["b", "@s/a", "b"])})) == (
        "@s/a",
        "b",
    )


@pytest.mark.parametrize("named", ["esbuild", {"a": 1}, [1], ["../x"], ["a b"], None, True])
def test_a_list_of_something_else_is_refused(named: object) -> None:
    with pytest.raises(SteadyError) as caught:
        trusted_dependencies(tree({"package.json": package(trustedDependencies=named)}))
    assert (caught.value.code, caught.value.details["file"]) == ("invalid", "package.json")
