from __future__ import annotations

from pathlib import Path

from steadyd.runner.burden import look


def test_a_host_says_what_it_carries(tmp_path: Path) -> None:
    seen = look(tmp_path)
    assert 0 < seen.memory_used_bytes < seen.memory_bytes
    assert 0 < seen.disk_used_bytes < seen.disk_bytes
    assert seen.cpus >= 1
    assert len(seen.load) == 3


def test_how_long_work_waits_is_told_where_the_kernel_does(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00\n")
    (tmp_path / "memory").write_text("nothing that is known\n")
    assert look(tmp_path, tmp_path).stalled == {"cpu": 12.5}
