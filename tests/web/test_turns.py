from __future__ import annotations

import asyncio

import pytest

from steadyd.errors import SteadyError
from steadyd.web.turns import Turns


def test_few_at_once_some_in_line_and_the_next_is_sent_away() -> None:
    async def body() -> None:
        turns, go, inside = Turns(2, 3, "diffs"), asyncio.Event(), 0
        most = 0

        async def work() -> None:
            nonlocal inside, most
            async with turns():
                inside += 1
                most = max(most, inside)
                await go.wait()
                inside -= 1

        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(SteadyError) as caught:
            await work()
        assert (caught.value.code, caught.value.retry_after) == ("overloaded", 2)
        tasks.pop().cancel()
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(work()))
        go.set()
        await asyncio.gather(*tasks)
        assert (most, inside) == (2, 0)
        await work()

    asyncio.run(body())
