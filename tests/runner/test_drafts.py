"""From files to what becomes a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Origin
from steadyd.runner.engine import Engine
from tests.runner.conftest import HELLO, run, world


def test_what_differs_is_merged_into_what_is_live_and_kept(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            live = (await here.create({"index.ts": HELLO, "a.txt": "a", "b.txt": "b"})).version
            drafts, app = here.deployer.drafts, await here.app()
            tree = await drafts.merged(live, {"a.txt": None, "b.txt": b"other", "c.txt": b"new"})
            assert tree == {"index.ts": HELLO.encode(), "b.txt": b"other", "c.txt": b"new"}
            with pytest.raises(SteadyError, match="version 1 has no such file"):
                await drafts.merged(live, {"gone.txt": None})
            assert await drafts.lock(live) == b""
            prepared = await drafts.prepare(app, tree, drafts.read(app, tree))
            draft = await drafts.keep(prepared, Origin("merge"))
            assert (draft.entry, draft.modules, prepared.notes) == ("index.ts", "", ())
            assert [file.path for file in draft.files] == sorted(tree)
            assert [await drafts.content(file) for file in draft.files] == [tree[path] for path in sorted(tree)]

    run(body())
