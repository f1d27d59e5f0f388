"""A real steady.db for every test that asks for one."""

from __future__ import annotations

from tests.records.conftest import database as database
