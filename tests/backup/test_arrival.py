"""The first look at the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.backup import arrival
from steadyd.backup.arrival import arrive
from steadyd.backup.objects import Patience
from steadyd.backup.target import Target, TargetKind
from steadyd.errors import SteadyError
from tests.backup.test_objects import run
from tests.objectstore import Fault, FaultProxy, ObjectStore


def test_a_target_that_works(tmp_path: Path, moto: ObjectStore) -> None:
    for target in (Target(TargetKind.FILE, path=tmp_path / "replica"), moto.target("arrival")):
        assert run(arrive(target, tmp_path)).problem == ""


@pytest.mark.parametrize(("fault", "code"), [(Fault.DENIED, "replica_refused"), (Fault.UNCONDITIONAL, "replica_unfit")])
def test_one_that_can_never_work_is_told_at_the_start(
    tmp_path: Path, moto: ObjectStore, proxy: FaultProxy, fault: Fault, code: str
) -> None:
    proxy.become(fault)
    with pytest.raises(SteadyError) as caught:
        run(arrive(moto.target("arrival", proxy.port), tmp_path))
    assert caught.value.code == code


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.HALF_OPEN, Fault.FULL])
def test_one_that_does_not_answer_stops_nobody(
    tmp_path: Path, moto: ObjectStore, proxy: FaultProxy, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For some seconds at the most."""
    monkeypatch.setattr(arrival, "FIRST_LOOK", Patience(attempts_max=1, answer_seconds_max=0.2))
    proxy.become(fault)
    assert "tried again" in run(arrive(moto.target("arrival", proxy.port), tmp_path)).problem
