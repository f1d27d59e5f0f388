"""Templates and static files are found in a checkout; an installed package has them beside its code."""

from __future__ import annotations

import tomllib

from steadyd.web.shipped import PACKAGE, folder


def test_all_folders_are_found() -> None:
    assert (folder("examples") / "hello" / "index.ts").is_file()
    assert (folder("templates") / "layout.html").is_file()
    assert (folder("static") / "style" / "steady.css").is_file()


def test_the_wheel_carries_them_where_an_installed_package_looks() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert carried == {
        "templates": "steadyd/templates",
        "examples": "steadyd/examples",
        "static/icon.svg": "steadyd/static/icon.svg",
    }
