"""The limits that the control plane has when nobody says otherwise."""

from __future__ import annotations

import time

from steadyd.web.rooms import CREATIONS_PER_HOUR_MAX, LOGINS_PER_HOUR_MAX
from tests.web.conftest import Stage, Web


def test_named_defaults(web: Web) -> None:
    async def body(stage: Stage) -> None:
        assert (CREATIONS_PER_HOUR_MAX, LOGINS_PER_HOUR_MAX) == (60, 60)
        assert stage.rooms.body_bytes_max == 100 << 20
        assert abs(stage.rooms.now() - time.time()) < 1
        other = stage.rebuilt(host_name="other")
        assert other.rooms.host_name == "other"

    web(body)
