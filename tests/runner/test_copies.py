"""The copy of the data that a candidate is tried on: its bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import copies
from steadyd.runner.engine import Engine
from tests.runner.conftest import HELLO, WRITES, run, world


def test_data_that_is_too_large_for_a_copy_is_a_reason(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITES)
            await here.ask()
            for limit, named in (("COPY_FILES_MAX", "more than 1 files"), ("COPY_BYTES_MAX", "more than 1 bytes")):
                with monkeypatch.context() as patched:
                    patched.setattr(copies, limit, 1)
                    with pytest.raises(SteadyError) as caught:
                        await here.deploy(HELLO)
                assert caught.value.details["step"] == "trial"
                assert named in caught.value.details["reason"]
            assert list(here.fleet.ground.place(await here.app()).scratch.iterdir()) == []

    run(body())


def test_a_copy_has_so_much_time(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "COPY_SECONDS_MAX", 0.001)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITES)
            await here.ask()
            with pytest.raises(SteadyError) as caught:
                await here.deploy(HELLO)
            assert caught.value.details["step"] == "trial"

    run(body())
