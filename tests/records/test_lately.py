from __future__ import annotations

from steadyd.records.lately import MINUTE, MINUTES_MAX, Lately

HOUR = MINUTE * MINUTES_MAX


def test_the_last_hour_is_counted_and_what_is_older_goes() -> None:
    lately = Lately()
    for minute in range(2 * MINUTES_MAX):
        lately.add("a", [minute * MINUTE, minute * MINUTE + 1])
    assert lately.of("a", 2 * HOUR - 1) == 2 * MINUTES_MAX
    assert lately.of("a", 2 * HOUR + HOUR / 2) == MINUTES_MAX - 2
    assert lately.of("a", 4 * HOUR) == lately.of("b", 0.0) == 0
    assert len(lately._minutes["a"]) == MINUTES_MAX
    lately.add("a", [5.0])  # it ended long after it began
    assert lately.of("a", 2 * HOUR - 1) == 2 * MINUTES_MAX + 1
    lately.forget("a")
    assert lately.of("a", 2 * HOUR) == 0
