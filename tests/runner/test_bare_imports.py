"""Which packages an app imports: found by parsing, in every way to write an import, and never by running."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runner.bun_app import run_script, write_files


def scan(folder: Path, files: dict[str, str], stdin: str = "") -> Any:
    write_files(folder, files)
    names = [] if stdin else [name for name in files if not name.endswith((".json", ".toml"))]
    ended = run_script("imports.ts", *names, folder=folder, stdin=stdin)
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        ('import { Hono } from "hono"; new Hono();', ["hono"]),
        ('import { cors } from "hono/cors"; cors();', ["hono"]),
        ('import "@scope/name/deep/er";', ["@scope/name"]),
        ('export * from "a"; export { b } from "b";', ["a", "b"]),
        ('await import("lazy");', ["lazy"]),
        ('require("old");', ["old"]),
        ('import old = require("old"); old();', ["old"]),
        ('const name = "x"; await import(name);', []),
        ('import type { T } from "types"; import { type U } from "more"; export type V = T | U;', []),
        ('import fs from "fs"; import "node:path"; import "fs/promises"; import "bun"; import "bun:sqlite";', []),
        ('import "./a"; import "../b"; import "/c"; import "#d"; import "https://e/f.js"; import "npm:g";', []),
        ('import page from "./page.html"; page();', []),
        ('import "@/components"; import "~/lib"; import "..";', []),
        ('import "twice"; import "twice"; import "twice/deep";', ["twice"]),
        ('import "Capital"; import "dot.ted";', ["Capital", "dot.ted"]),
        ('#!/usr/bin/env bun\nimport "after-shebang";', ["after-shebang"]),
        ("", []),
    ],
)
def test_packages(tmp_path: Path, source: str, packages: list[str]) -> None:
    found = scan(tmp_path, {"index.ts": source})
    assert (found["packages"], found["errors"]) == (packages, [])


@pytest.mark.parametrize("name", ["a.ts", "a.mts", "a.cts", "a.tsx", "a.js", "a.mjs", "a.cjs", "a.jsx", "deep/er/a.ts"])
def test_kinds_of_files(tmp_path: Path, name: str) -> None:
    found = scan(tmp_path, {name: 'import "one";'})
    assert found["imports"] == [{"package": "one", "specifier": "one", "file": name}]


def test_other_files_are_not_read(tmp_path: Path) -> None:
    assert scan(tmp_path, {"a.txt": 'import "one";', "b.css": "@import 'x';"})["packages"] == []


@pytest.mark.parametrize(
    ("source", "config", "packages"),
    [
        ("export const a = <p/>;", "{}", ["react"]),
        (
            "export const a = <p/>;",
            '{"compilerOptions": {"jsx": "react-jsx", "jsxImportSource": "hono/jsx"}}',
            ["hono"],
        ),
        ("/** @jsxImportSource preact */ export const a = <p/>;", "{}", ["preact"]),
        ('import React from "react"; export const a = <p>{React.version}</p>;', "{}", ["react"]),
        ("export const a = 1;", "{}", []),
    ],
)
def test_the_runtime_of_jsx(tmp_path: Path, source: str, config: str, packages: list[str]) -> None:
    assert scan(tmp_path, {"a.tsx": source, "tsconfig.json": config})["packages"] == packages


def test_what_the_app_itself_means_by_a_name(tmp_path: Path) -> None:
    config = """{
        // comments and commas at the end are allowed here
        "compilerOptions": {"baseUrl": ".", "paths": {"$lib/*": ["./lib/*"], "exact": ["./e"], "*": ["./x"]}},
    }"""
    source = """
        import "$lib/a"; import "exact"; import "exactly"; import "folder/b"; import "beside";
        import "me"; import "me/too"; import "meme";
    """
    files = {
        "index.ts": source,
        "tsconfig.json": config,
        "package.json": '{"name": "me", "exports": "./index.ts"}',
        "folder/b.ts": "",
        "beside.ts": "",
    }
    assert scan(tmp_path, files)["packages"] == ["exactly", "meme"]


def test_files_that_do_not_parse(tmp_path: Path) -> None:
    """Promise: a deploy that does not parse is refused with file, line and the line itself."""
    found = scan(tmp_path, {"a.ts": 'import "one";\nconst b = ;\n', "c.ts": 'import "two";'})
    assert found["packages"] == ["two"]
    assert found["errors"] == [
        {"file": "a.ts", "line": 2, "column": 11, "message": "Unexpected ;", "source": "const b = ;"}
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    ended = run_script("imports.ts", "gone.ts", folder=tmp_path)
    (error,) = json.loads(ended.stdout)["errors"]
    assert error["file"] == "gone.ts"
    assert "ENOENT" in error["message"]


def test_paths_on_stdin(tmp_path: Path) -> None:
    assert scan(tmp_path, {"index.ts": 'import "one";'}, stdin='["index.ts"]')["packages"] == ["one"]
    ended = run_script("imports.ts", folder=tmp_path, stdin="index.ts")
    assert ended.returncode == 2
    assert "JSON" in ended.stderr


def test_nothing_of_the_users_is_executed(tmp_path: Path) -> None:
    """W12: macros, and configuration that names code. All of it only by running would leave the mark."""
    mark = 'require("fs").writeFileSync("mark", "");'
    files = {
        "index.ts": 'import { run } from "./macro" with { type: "macro" }; console.log(run());' + mark,
        "macro.ts": f"export function run() {{ {mark} return 1; }}",
        "bunfig.toml": 'preload = ["./macro.ts", "./mark.ts"]',
        "mark.ts": mark,
    }
    assert scan(tmp_path, files)["errors"] == []
    assert not (tmp_path / "mark").exists()
