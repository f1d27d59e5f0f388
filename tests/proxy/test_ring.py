"""Access records: what went in comes out, in bounded memory."""

from __future__ import annotations

import threading

from steadyd.proxy.ring import HEAD_BYTES_MAX, HEADS_MAX, RECORD_PATH_BYTES_MAX, TEXTS_MAX, RequestRing


def write(ring: RequestRing, path: bytes = b"/x", total: int = 9, status: int = 200, repeatable: bool = False) -> None:
    names = (b"abcdefghijkl", b"GET", path, b"127.0.0.1", b"0123456789ab00000001", b"app_died")
    ring.write((1_700_000_000_000_000, 1, 2, total), (10, 1 << 40), 7, status, names, repeatable)


def test_a_record_comes_back_whole() -> None:
    ring = RequestRing(8)
    write(ring)
    (row,) = ring.drain()
    assert row._asdict() == {
        "number": 0,
        "started_at": 1_700_000_000_000_000,
        "request_bytes": 10,
        "answer_bytes": 1 << 40,
        "gate_us": 1,
        "upstream_us": 2,
        "total_us": 9,
        "version": 7,
        "status": 200,
        "repeatable": False,
        "service": "abcdefghijkl",
        "method": "GET",
        "path": "/x",
        "client": "127.0.0.1",
        "request_id": "0123456789ab00000001",
        "error": "app_died",
    }
    assert ring.drain() == []
    write(ring, repeatable=True)
    assert ring.drain()[0].repeatable is True


def test_long_and_odd_values_are_cut_not_refused() -> None:
    ring = RequestRing(8)
    write(ring, path=b"/" + b"a" * 5_000, total=1 << 50)
    write(ring, path=b"/\xff")
    long, odd = ring.drain()
    assert len(long.path) == RECORD_PATH_BYTES_MAX
    assert long.total_us == 1 << 50
    assert odd.path == "/�"


def test_when_full_the_oldest_are_lost_and_counted() -> None:
    ring = RequestRing(8)
    for number in range(20):
        write(ring, path=b"/%d" % number)
    assert [row.path for row in ring.drain()] == [f"/{number}" for number in range(12, 20)]
    assert ring.lost == 12
    write(ring)
    assert [row.number for row in ring.drain()] == [20]


def test_draining_in_another_thread_sees_each_record_once_and_whole() -> None:
    ring = RequestRing(1_024)
    total = 30_000
    rows = []

    def drain() -> None:
        while True:
            last = ring.written == total
            rows.extend(ring.drain())
            if last:
                return

    thread = threading.Thread(target=drain)
    thread.start()
    for number in range(total):
        write(ring, path=b"/%d" % number, total=number)
    thread.join(30)
    assert len(rows) + ring.lost == total
    assert [row.number for row in rows] == sorted({row.number for row in rows})
    assert all(row.path == f"/{row.number}" and row.total_us == row.number for row in rows)


def test_decoded_texts_are_bounded() -> None:
    ring = RequestRing(16)
    for number in range(TEXTS_MAX + 50):
        write(ring, b"/%d" % number)
        assert [row.path for row in ring.drain()] == [f"/{number}"]
        assert len(ring._texts) <= TEXTS_MAX


def test_heads_are_held_for_the_newest_and_cut() -> None:
    ring = RequestRing()
    for number in range(HEADS_MAX + 2):
        ring.hold(b"asked %d" % number, b"answered %d" % number)
        write(ring)
    assert ring.heads(0) == ring.heads(1) == ring.heads(2) == (b"", b"")
    assert ring.heads(3) == (b"asked 3", b"answered 3")
    ring.hold(b"a" * 2 * HEAD_BYTES_MAX, b"")
    write(ring)
    assert ring.heads(HEADS_MAX + 2) == (b"a" * HEAD_BYTES_MAX, b"")


def test_a_record_without_heads_has_nobody_elses() -> None:
    ring = RequestRing()
    for _ in range(HEADS_MAX):
        ring.hold(b"asked", b"answered")
        write(ring)
    write(ring)
    assert ring.heads(HEADS_MAX) == (b"", b"")
