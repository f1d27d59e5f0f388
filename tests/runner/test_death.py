from __future__ import annotations

import time

from steadyd.runner.death import death_of
from steadyd.runner.process import Exit
from steadyd.runner.start import Failure


def test_the_card_says_how_it_ended_and_what_was_lost() -> None:
    failure = Failure(
        "signal", "it ended with signal SIGKILL.", 1.23456, Exit(None, "SIGKILL"), None, ["last", "words"]
    )
    card = death_of(failure, 7, in_flight=2)
    assert abs(card.at - time.time()) < 60
    assert (card.cause, card.exit_code, card.signal) == ("signal", None, "SIGKILL")
    assert (card.version, card.in_flight, card.uptime_seconds) == (7, 2, 1.235)
    assert (card.log_tail, card.message) == (("last", "words"), "Version 7 died: it ended with signal SIGKILL.")


def test_a_start_that_ran_out_of_time_has_no_exit() -> None:
    card = death_of(Failure("start_timeout", "it did not listen within 30 s.", 30.0), 1)
    assert (card.cause, card.exit_code, card.signal) == ("start_timeout", None, None)
