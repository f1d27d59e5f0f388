"""What a preview is called, what it reaches, and for how long it stays. How it runs is tested in test_previews.py."""

from __future__ import annotations

import re
from dataclasses import replace

from steadyd.model import NAME, Network, Settings, Trial, TrialNetwork
from steadyd.runner.preview import IDLE_SECONDS_MAX, LIFE_SECONDS_MAX, Bounds, network_of, new_label


def test_its_label_is_no_app_s_name_and_not_guessed() -> None:
    labels = {new_label() for _ in range(100)}
    assert len(labels) == 100
    for label in labels:
        assert re.fullmatch(r"0[a-z2-7]{26}", label)
        assert not NAME.fullmatch(label)


def test_it_reaches_what_the_app_s_trials_may() -> None:
    def reached(trial: TrialNetwork, own: Network) -> Network:
        return network_of(replace(Settings(), network=own, trial=Trial(network=trial)))

    assert reached(TrialNetwork.AUTO, Network.INTERNET) is Network.INTERNET
    assert reached(TrialNetwork.APP, Network.PRIVATE) is Network.PRIVATE
    assert reached(TrialNetwork.APP, Network.NONE) is Network.NONE
    assert reached(TrialNetwork.OFF, Network.INTERNET) is Network.NONE


def test_it_stays_for_so_long() -> None:
    assert Bounds() == Bounds(IDLE_SECONDS_MAX, LIFE_SECONDS_MAX)
