"""Marks in lanes: everything in its place, nothing twice, nothing lost."""

from __future__ import annotations

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from steadyd.web.charts import WIDTH
from steadyd.web.lanes import KINDS, LANES, NEAR, Mark, gathered, lanes
from steadyd.web.period import Period, read_period
from tests.web.test_charts import NOW, periods

MARKS = st.lists(
    st.builds(
        Mark, st.floats(NOW - 40 * 86_400, NOW), st.sampled_from(list(LANES)), st.sampled_from(KINDS),
        st.text(max_size=5), st.just("activity"),
    ),
    max_size=60,
)  # fmt: skip


@given(periods(), MARKS)
def test_every_mark_of_the_period_is_drawn_once(period: Period, marks: list[Mark]) -> None:
    drawn = [place for lane in lanes(period, marks) for place in lane.drawn]
    told = [mark for place in drawn for mark in place.marks]
    within = [mark for mark in marks if period.start <= mark.at <= period.end]
    key = lambda mark: (mark.at, mark.lane, mark.kind, mark.title)  # noqa: E731
    assert sorted(told, key=key) == sorted(within, key=key)
    assert all(0 <= place.x <= WIDTH for place in drawn)


@given(periods(), MARKS)
def test_a_lane_has_few_places_in_order(period: Period, marks: list[Mark]) -> None:
    for lane in lanes(period, marks):
        assert len(lane.drawn) <= WIDTH / NEAR + 1
        assert [place.x for place in lane.drawn] == sorted(place.x for place in lane.drawn)
        assert {mark.lane for place in lane.drawn for mark in place.marks} <= {lane.name}


def test_several_at_one_place_look_as_the_worst_and_lead_closer() -> None:
    day = read_period({"window": "1d"}, NOW)
    marks = [
        Mark(NOW - 100 - ago, "life", kind, kind, "activity/death/1")
        for ago, kind in ((0, "good"), (30, "bad"), (60, "quiet"))
    ]
    (place,) = gathered(day, marks)
    assert (place.kind, len(place.marks)) == ("bad", 3)
    assert place.title == "3 at once, the last: good"
    said = dict(parse_qsl(place.path.partition("?")[2]))
    closer = read_period(said, NOW)
    assert closer.start <= NOW - 160
    assert closer.end >= NOW - 101
    assert closer.seconds < day.seconds
    (alone,) = gathered(day, marks[:1])
    assert (alone.title, alone.path) == ("good", "activity/death/1")


def test_where_there_is_no_narrower_range_it_leads_to_the_list() -> None:
    short = read_period({"window": "5m"}, NOW)
    (place,) = gathered(short, [Mark(NOW - 1, "code", "good", "a", "x"), Mark(NOW - 2, "code", "good", "b", "x")])
    assert place.path == "activity"
