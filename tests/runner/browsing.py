"""One Bun that browses databases for many tests: what each request of harness/query.ts has a process for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from steadyd.runner.engine import find_bun

SCRIPT = Path(__file__).with_name("browsing.ts")


class Browser:
    """The process. `ask` blocks."""

    def __enter__(self) -> Browser:
        words = [str(find_bun()), "--no-install", str(SCRIPT)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def ask(self, task: str, file: Path | str = "", **wanted: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"task": task, "file": str(file), **wanted}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def page(self, file: Path | str, table: str, **wanted: Any) -> Any:
        given: dict[str, Any] = {
            "columns": None,
            "filters": [],
            "sort": "",
            "descending": False,
            "after": "",
            "rows": 100,
        }
        return self.ask("rows", file, table=table, **{**given, "bytes": 1 << 20, **wanted})

    def pages(self, file: Path | str, table: str, **wanted: Any) -> list[Any]:
        """Every row, page after page."""
        found, after = [], ""
        while True:
            answer = self.page(file, table, after=after, **wanted)
            assert "error" not in answer, answer
            found += answer["rows"]
            if not answer["more"]:
                return found
            after = answer["next"]
            assert after

    def edit(self, file: Path | str, table: str, edits: list[Any]) -> Any:
        return self.ask("edit", file, table=table, edits=edits)

    def take(self, file: Path | str, folder: Path, format: str, **wanted: Any) -> Any:
        """An export, into `folder`/made."""
        (folder / "made").unlink(missing_ok=True)
        given = {"format": format, "table": "", "sql": "", "bytes": 1 << 30}
        return self.ask("export", file, folder=str(folder), **{**given, **wanted})

    def put(self, file: Path | str, folder: Path, format: str, **wanted: Any) -> Any:
        """An import, of `folder`/sent."""
        for left in ("copy", "copy-wal", "copy-shm"):
            (folder / left).unlink(missing_ok=True)
        given = {"format": format, "table": "", "create": True, "header": True, "delimiter": ",", "replace": False}
        return self.ask("import", file, folder=str(folder), **{**given, **wanted})
