"""Everything the app's page shows, gathered in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.responses import Response

from steadyd import model
from steadyd.errors import SteadyError
from steadyd.web import frame
from steadyd.web.page import Visit
from steadyd.web.rooms import Rooms

EDITOR_FILES_MAX = 40
EDITOR_BYTES_MAX = 1 << 20
"""All text in the page's editor; files beyond it are listed, and edited elsewhere."""
EXCERPT_LINES_AROUND = 3
WOKE_SECONDS = 86_400.0
"""For so long it is said how fast it woke last."""


@dataclass(frozen=True, slots=True)
class Editable:
    """One file in the editor. `problem_line` is where the failed deploy says the mistake is. `raw_size` is in bytes, of
    a file that a text area would change, since its lines do not end in LF alone; else 0."""

    path: str
    text: str
    selected: bool = False
    problem_line: int | None = None

    @property
    def raw_size(self) -> int:
        return len(self.text.encode()) if "\r" in self.text else 0


@dataclass(frozen=True, slots=True)
class Edit:
    """What the person sent and what came of it, so that nothing they typed is lost."""

    files: dict[str, str] = field(default_factory=dict)
    new_path: str = ""
    new_text: str = ""
    selected: str = ""
    error: SteadyError | None = None
    deploy: model.Deploy | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class AppView:
    app: model.App
    death: model.Death | None
    files: list[Editable]
    other_files: list[model.File]
    excerpt: list[tuple[int, str]]
    woke_ms: float | None
    edit: Edit

    @property
    def selected(self) -> str:
        """The file that is shown first."""
        return next((file.path for file in self.files if file.selected), "")


async def show(visit: Visit, app: model.App, edit: Edit | None = None) -> Response:
    """The owner's page of an app, as a response. With a failed edit, its status is the error's."""
    edit = edit or Edit()
    view = await gather(visit.rooms, app, edit)
    return await frame.show(visit, app, "", "app.html", edit.error, view=view, edit=edit)


async def gather(rooms: Rooms, app: model.App, edit: Edit) -> AppView:
    """Read all that the page needs."""
    version = await rooms.versions.one(app.id, app.version)
    texts, others = await _texts(rooms, _entry_first(version) if version else [])
    texts |= edit.files
    place = place_of(edit.error)
    selected = edit.selected if edit.selected in texts else place[0] if place and place[0] in texts else ""
    selected = selected or (version.entry if version and version.entry in texts else next(iter(texts), ""))
    wakes, _ = await rooms.journal.woken(app.id, rooms.now() - WOKE_SECONDS, rooms.now())
    return AppView(
        app=app,
        death=await rooms.fleet.last_death(app.id),
        files=[
            Editable(path, text, path == selected, place[1] if place and place[0] == path else None)
            for path, text in texts.items()
        ],
        other_files=others,
        excerpt=excerpt(texts, place),
        woke_ms=wakes[-1][1] if wakes else None,
        edit=edit,
    )


def excerpt(texts: Mapping[str, str], place: tuple[str, int] | None) -> list[tuple[int, str]]:
    """The lines around a mistake, each with its number; [] if the place is unknown."""
    if place is None or place[0] not in texts:
        return []
    lines = texts[place[0]].split("\n")
    first = max(1, place[1] - EXCERPT_LINES_AROUND)
    last = min(len(lines), place[1] + EXCERPT_LINES_AROUND)
    return [(number, lines[number - 1][:200]) for number in range(first, last + 1)]


def place_of(error: SteadyError | None) -> tuple[str, int] | None:
    """File and line of a mistake, if a failed deploy names them."""
    if error is None:
        return None
    path, line = error.details.get("file"), error.details.get("line")
    return (path, line) if isinstance(path, str) and isinstance(line, int) and line > 0 else None


# Private


def _entry_first(version: model.Version) -> list[model.File]:
    return sorted(version.files, key=lambda file: (file.path != version.entry, file.path))


async def _texts(rooms: Rooms, files: list[model.File]) -> tuple[dict[str, str], list[model.File]]:
    """The files that the editor takes, and the others: too large, too many, or no text."""
    texts: dict[str, str] = {}
    others: list[model.File] = []
    left = EDITOR_BYTES_MAX
    for file in files:
        text = None
        if file.size <= left and len(texts) < EDITOR_FILES_MAX:
            text = _text(await rooms.deployer.content(file))
        if text is None:
            others.append(file)
        else:
            texts[file.path] = text
            left -= file.size
    return texts, others


def _text(content: bytes) -> str | None:
    """None for what a textarea cannot hold unchanged."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
