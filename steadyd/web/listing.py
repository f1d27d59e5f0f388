"""A list of apps as a page shows it: those that are looked for, in the order that is wished, by the page. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steadyd.model import App, AppState

PAGE_MAX = 50
QUERY_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True)
class Row:
    """An app and what it uses now. `cpus` is how many processors' worth, `requests` those of the last hour;
    `disk_bytes` None: not measured yet."""

    app: App
    state: AppState
    url: str
    memory_bytes: int = 0
    cpus: float = 0.0
    disk_bytes: int | None = None
    requests: int = 0


SORTS: Mapping[str, tuple[str, Callable[[Row], Any], bool]] = {
    "changed": ("last changed", lambda row: row.app.updated_at, True),
    "name": ("name", lambda row: row.app.name, False),
    "memory": ("memory", lambda row: row.memory_bytes, True),
    "cpu": ("processor", lambda row: row.cpus, True),
    "disk": ("disk", lambda row: row.disk_bytes or 0, True),
    "requests": ("requests", lambda row: row.requests, True),
    "owner": ("owner", lambda row: (row.app.owner_name.lower(), row.app.name), False),
}
"""What a list can be sorted by → what that is called, the key, and whether the largest comes first."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for: `q` in the name or the owner's, one `state` ("" is all), and the page from 1."""

    q: str = ""
    state: str = ""
    sort: str = "changed"
    page: int = 1


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list. `states` counts what `q` finds in each state."""

    rows: list[Row]
    total: int
    found: int
    pages: int
    states: dict[str, int]
    wish: Wish

    def query(self, **other: Any) -> dict[str, Any]:
        """The address of this list with something else in it: what is as always is left out, and another list begins
        with its first page."""
        wish = self.wish
        said = {"q": wish.q, "state": wish.state, "sort": wish.sort, "page": 1} | other
        usual = {"q": "", "state": "", "sort": "changed", "page": 1}
        return {name: value for name, value in said.items() if value != usual[name]}


def read_wish(said: Mapping[str, str]) -> Wish:
    """What the address asks for; what makes no sense is as if it were not there."""
    sort, state, page = said.get("sort", ""), said.get("state", ""), said.get("page", "")
    return Wish(
        q=said.get("q", "").strip()[:QUERY_CHARACTERS_MAX],
        state=state if state in set(AppState) else "",
        sort=sort if sort in SORTS else "changed",
        page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


def listed(rows: Sequence[Row], wish: Wish) -> Listing:
    """The page of `rows` that is asked for, or the last there is."""
    words = wish.q.lower()
    matching = [row for row in rows if words in row.app.name or words in row.app.owner_name.lower()]
    states = Counter(str(row.state) for row in matching)
    found = [row for row in matching if wish.state in ("", row.state)]
    _, key, largest_first = SORTS[wish.sort]
    found.sort(key=key, reverse=largest_first)
    pages = max(1, -(-len(found) // PAGE_MAX))
    first = (min(wish.page, pages) - 1) * PAGE_MAX
    at = Wish(wish.q, wish.state, wish.sort, first // PAGE_MAX + 1)
    return Listing(found[first : first + PAGE_MAX], len(rows), len(found), pages, dict(sorted(states.items())), at)
