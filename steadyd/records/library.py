"""Every noun's records over one steady.db, as one value: what exists, by whom, and what was done."""

from __future__ import annotations

from dataclasses import dataclass

from steadyd.records.absences import Absences
from steadyd.records.accounts import Accounts
from steadyd.records.apps import Apps
from steadyd.records.blanks import Blanks
from steadyd.records.blocks import Blocks
from steadyd.records.captures import Captures
from steadyd.records.contents import Contents
from steadyd.records.crons import Crons
from steadyd.records.deaths import Deaths
from steadyd.records.drills import Drills
from steadyd.records.engines import Engines
from steadyd.records.environment import Environment
from steadyd.records.epochs import Epochs
from steadyd.records.history import History
from steadyd.records.journal import Journal
from steadyd.records.lines import Lines
from steadyd.records.names import Names
from steadyd.records.people import People
from steadyd.records.points import Points
from steadyd.records.remains import Remains
from steadyd.records.stands import Stands
from steadyd.records.statements import Statements
from steadyd.records.targets import Targets
from steadyd.records.tokens import Tokens
from steadyd.records.versions import Versions
from steadyd.settings import Policy
from steadyd.store import Database
from steadyd.terms import Terms
from steadyd.vault import Vault

KEY_FILE = "secrets.key"


@dataclass(frozen=True, slots=True)
class Library:
    """The records of one host."""

    apps: Apps
    names: Names
    versions: Versions
    people: People
    journal: Journal
    deaths: Deaths
    history: History
    targets: Targets
    environment: Environment
    blanks: Blanks
    blocks: Blocks
    crons: Crons
    tokens: Tokens
    accounts: Accounts
    engines: Engines
    lines: Lines
    points: Points
    remains: Remains
    epochs: Epochs
    drills: Drills
    absences: Absences
    captures: Captures
    contents: Contents
    statements: Statements
    stands: Stands


def open_library(database: Database, policy: Policy = Policy(), terms: Terms = Terms()) -> Library:
    """All records over `database`. `policy` makes an app's settings from what was chosen; `terms` say how long what
    nobody keeps is kept. The key of what is sealed in the records lies beside the database."""
    return Library(
        apps=Apps(database, policy, terms),
        names=Names(database, terms),
        versions=Versions(database),
        people=People(database),
        journal=Journal(database),
        deaths=Deaths(database),
        history=History(database),
        targets=Targets(database),
        blanks=Blanks(database),
        blocks=Blocks(database),
        environment=Environment(database, Vault(database.path.with_name(KEY_FILE))),
        crons=Crons(database),
        tokens=Tokens(database),
        accounts=Accounts(database),
        engines=Engines(database),
        lines=Lines(database),
        points=Points(database),
        remains=Remains(database),
        drills=Drills(database),
        captures=Captures(database),
        contents=Contents(database),
        epochs=Epochs(database),
        absences=Absences(database),
        statements=Statements(database),
        stands=Stands(database),
    )
