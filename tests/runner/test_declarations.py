"""The types of installed packages: what is read, what is not, and how much."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steadyd.runner import declarations as module
from steadyd.runner.declarations import declarations


def install(root: Path, **files: str) -> None:
    for path, text in files.items():
        target = root / "node_modules" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def pair(name: str) -> list[str]:
    return [f"{name}/index.d.ts", f"{name}/package.json"]


def read(root: Path, *first: str) -> tuple[dict[str, str], list[str]]:
    found = declarations(root / "node_modules", first)
    return found.files, found.left_out


def test_declarations_and_what_says_where_they_are(tmp_path: Path) -> None:
    install(
        tmp_path,
        **{
            "hono/package.json": json.dumps({"name": "hono", "types": "./index.d.ts", "scripts": {"x": "rm"}}),
            "hono/index.d.ts": "export {};",
            "hono/index.js": "1",
            "hono/data.d.json.ts": "export {};",
            "hono/node_modules/inner/index.d.mts": "export {};",
            "@scope/pad/package.json": "no JSON",
            "@scope/pad/dist/main.d.cts": "export {};",
            "@types/node/index.d.ts": "ours",
            ".bin/tool.d.ts": "no package",
        },
    )
    files, left_out = read(tmp_path)
    assert files == {
        "node_modules/hono/package.json": '{"name": "hono", "types": "./index.d.ts"}',
        "node_modules/hono/index.d.ts": "export {};",
        "node_modules/hono/data.d.json.ts": "export {};",
        "node_modules/hono/node_modules/inner/index.d.mts": "export {};",
        "node_modules/@scope/pad/dist/main.d.cts": "export {};",
    }
    assert left_out == []
    assert read(tmp_path / "nowhere") == ({}, [])


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.d.ts").write_text("secret")
    install(tmp_path, **{"pad/index.d.ts": "export {};"})
    pad = tmp_path / "node_modules" / "pad"
    (pad / "out.d.ts").symlink_to(tmp_path / "secret.d.ts")
    (pad / "up").symlink_to(tmp_path)
    (tmp_path / "node_modules" / "linked").symlink_to(tmp_path)
    assert read(tmp_path) == ({"node_modules/pad/index.d.ts": "export {};"}, [])


def test_what_the_app_asks_for_comes_first_and_what_does_not_fit_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILES_MAX", 3)
    for name in ("a", "b", "wanted", "@types/wanted"):
        install(tmp_path, **{f"{name}/index.d.ts": name, f"{name}/package.json": "{}"})
    install(tmp_path, **{"small/index.d.ts": "small"})
    files, left_out = read(tmp_path, "wanted")
    assert list(files) == [f"node_modules/{path}" for path in (*pair("wanted"), "small/index.d.ts")]
    assert left_out == ["@types/wanted", "a", "b"]


@pytest.mark.parametrize(("limit", "value"), [("BYTES_MAX", 5), ("ENTRIES_MAX", 1), ("DEPTH_MAX", 1)])
def test_bytes_places_and_depth_have_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    install(tmp_path, **{"pad/a/index.d.ts": "four", "pad/a/b/c/index.d.ts": "more"})
    assert len(read(tmp_path)[0]) == 2
    monkeypatch.setattr(module, limit, value)
    assert read(tmp_path) == ({}, ["pad"])


def test_a_large_package_json_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANIFEST_BYTES_MAX", 10)
    install(tmp_path, **{"pad/package.json": json.dumps({"name": "x" * 10}), "pad/index.d.ts": "t"})
    assert read(tmp_path) == ({"node_modules/pad/index.d.ts": "t"}, [])
