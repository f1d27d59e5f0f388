from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

from steadyd import diary
from steadyd.runner.logs import Logs

NASTY = "\x1b[31m\nforged"
"""No surrogate: pytest keeps what is logged in its report, which must be UTF-8."""


def test_what_any_thread_logs_is_kept_line_by_line(tmp_path: Path) -> None:
    """But not what is said of a log that cannot be written: that would never end."""

    async def body() -> None:
        (tmp_path / "control").mkdir()
        logs = Logs(lambda app_id: tmp_path / app_id / "logs", 1 << 20)
        before = list(logging.getLogger().handlers)
        with diary.kept(logs, "control"):
            logging.getLogger("steadyd.web").info("ready")
            logging.getLogger("steadyd.logs").warning("log lines lost")
            logging.getLogger("other").debug("much")
            thread = threading.Thread(target=lambda: logging.getLogger("elsewhere").warning("a %s", NASTY))
            thread.start()
            thread.join()
            await asyncio.sleep(0)
        assert logging.getLogger().handlers == before
        logging.getLogger("steadyd.web").warning("late")
        await asyncio.sleep(0)
        lines = await logs.tail("control", 9)
        assert [line.text for line in lines] == ["INFO steadyd.web: ready", "WARNING elsewhere: a \x1b[31m", "forged"]
        assert {line.source for line in lines} == {"app"}
        await logs.close()

    asyncio.run(body())


def test_nothing_fails_where_the_loop_has_ended(tmp_path: Path) -> None:
    async def made() -> diary.Diary:
        return diary.Diary(Logs(lambda app_id: tmp_path, 0), "control")

    late = asyncio.run(made())
    late.handle(logging.LogRecord("steadyd", logging.WARNING, "", 0, "late", None, None))
