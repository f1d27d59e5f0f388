from __future__ import annotations

from pathlib import Path

from steadyd.model import Origin, Version
from steadyd.runner.folder import Place
from steadyd.runner.surplus import BUNDLED_VERSIONS_MAX, surplus


def version(number: int, modules: str = "") -> Version:
    return Version("a", number, "index.ts", Origin("paste"), (), 1.0, "p", modules)


def place(root: Path, *paths: str) -> Place:
    for path in paths:
        (root / path).mkdir(parents=True)
    return Place(root, None)


def names(place: Place, versions: list[Version], live: int) -> list[str]:
    return [str(path.relative_to(place.root)) for path in surplus(place, versions, live)]


def test_an_app_that_has_neither_has_no_surplus(tmp_path: Path) -> None:
    assert surplus(Place(tmp_path, None), [version(1)], 1) == []


def test_the_dependencies_of_a_kept_version_stay_however_old_it_is(tmp_path: Path) -> None:
    made = place(tmp_path, "modules/old", "modules/new", "modules/failed")
    versions = [version(number, "new") for number in range(90, 1, -1)] + [version(1, "old")]
    assert names(made, versions, 90) == ["modules/failed"]
    assert names(made, versions[:-1], 90) == ["modules/failed", "modules/old"]


def test_the_newest_bundles_stay_and_the_live_one(tmp_path: Path) -> None:
    made = place(tmp_path, *(f"bundles/{number}-abc" for number in range(1, 12)), "bundles/12-x.part")
    versions = [version(number) for number in range(11, 0, -1)]
    gone = names(made, versions, 2)
    kept = {2, *range(12 - BUNDLED_VERSIONS_MAX, 12)}
    assert gone == sorted([*(f"bundles/{n}-abc" for n in range(1, 12) if n not in kept), "bundles/12-x.part"])
