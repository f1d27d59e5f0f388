from __future__ import annotations

import asyncio

from steadyd.records.absences import Absence, Absences, everybody
from steadyd.store import Database
from tests.records.test_targets import an_app


def test_everybody_is_absent_until_they_are_brought(database: Database) -> None:
    """Deleted apps come last; a purged one is absent no more."""

    async def body() -> None:
        absences = Absences(database)
        one, two, three = [await an_app(database, name) for name in ("one", "two", "three")]
        await database.write(lambda db: db.execute("UPDATE apps SET deleted_at = 1 WHERE id = ?", (one,)))
        await database.write(lambda db: db.execute("UPDATE apps SET updated_at = 9 WHERE id = ?", (three,)))
        assert await absences.all() == []
        await database.write(everybody(10.0))
        assert [absence.app_id for absence in await absences.all()] == [three, two, one]
        await absences.failed(two, "it is broken")
        assert (await absences.all())[1] == Absence(two, 10.0, False, "it is broken")
        await absences.here(two)
        assert (await absences.all())[1] == Absence(two, 10.0, True)
        await absences.over(two)
        await database.write(lambda db: db.execute("DELETE FROM apps WHERE id = ?", (one,)))
        assert [absence.app_id for absence in await absences.all()] == [three]

    asyncio.run(body())
