from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import uvloop

from steadyd.errors import SteadyError
from steadyd.proxy.service import Holder, Upstream
from steadyd.runner.gate import WAITERS_MAX, Gate


@dataclass(eq=False)
class Waiter:
    """A holder that remembers what it was told."""

    refusals: list[str] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def granted(self, upstream: Upstream) -> None:
        raise AssertionError("the gate itself grants nothing")

    def refused(self, error: SteadyError) -> None:
        assert error.retry_after
        self.refusals.append(error.code)
        self.told.set()

    def describe(self) -> tuple[str, str]:
        return "GET", "/"

    def wind_down(self) -> None: ...

    def cut(self) -> None: ...


def test_everyone_gets_through_in_order() -> None:
    async def body() -> None:
        gate, waiters = Gate(), [Waiter() for _ in range(3)]
        through: list[Holder] = []
        for waiter in waiters:
            gate.wait(waiter, 60)
        gate.open(through.append)
        assert (through, len(gate)) == (waiters, 0)

    asyncio.run(body())


def test_past_the_limit_waiting_is_refused_at_once() -> None:
    async def body() -> None:
        gate, late = Gate(), Waiter()
        for _ in range(WAITERS_MAX):
            gate.wait(Waiter(), 60)
        gate.wait(late, 60)
        assert (late.refusals, len(gate)) == (["gate_full"], WAITERS_MAX)
        gate.refuse(SteadyError("held", "", retry_after=1))
        endless = Gate(0)
        endless.wait(late, 60)
        assert len(endless) == 1
        endless.refuse(SteadyError("held", "", retry_after=1))

    asyncio.run(body())


def test_whoever_left_is_not_let_through() -> None:
    async def body() -> None:
        gate, gone, stays = Gate(), Waiter(), Waiter()
        through: list[Holder] = []
        gate.wait(gone, 60)
        gate.wait(stays, 60)
        gate.forget(gone)
        gate.forget(gone)
        gate.open(through.append)
        assert through == [stays]

    asyncio.run(body())


def test_each_waiter_has_its_own_deadline() -> None:
    async def body() -> None:
        gate, first, second = Gate(), Waiter(), Waiter()
        gate.wait(second, 60)
        gate.wait(first, 0.01)
        async with asyncio.timeout(5):
            await first.told.wait()
        assert (first.refusals, second.refusals, len(gate)) == (["gate_timeout"], [], 1)
        gate.refuse(SteadyError("held", "", retry_after=1))
        assert second.refusals == ["held"]

    asyncio.run(body())


def test_an_empty_gate_leaves_no_timer_behind() -> None:
    async def body() -> None:
        gate = Gate()
        gate.wait(Waiter(), 0.01)
        gate.open(lambda holder: None)
        await asyncio.sleep(0.05)
        assert len(gate) == 0

    asyncio.run(body())


def test_many_deadlines_are_kept_one_after_the_other_on_the_loop_of_production() -> None:
    """The first is over at once: uvloop's handle for that is another one than for later."""

    async def body() -> None:
        gate, waiting = Gate(), [Waiter() for _ in range(20)]
        began = asyncio.get_running_loop().time()
        for number, waiter in enumerate(waiting):
            gate.wait(waiter, 0.002 * number)
        async with asyncio.timeout(5):
            for waiter in waiting:
                await waiter.told.wait()
        assert asyncio.get_running_loop().time() - began >= 0.037
        assert {code for waiter in waiting for code in waiter.refusals} == {"gate_timeout"}

    uvloop.run(body())
