"""From the files that somebody sent to what becomes a version: read, its dependencies in place, its contents kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.manifest import Manifest, read_manifest
from steadyd.model import App, Draft, File, Origin, Version
from steadyd.runner.ground import Ground
from steadyd.runner.install import Installed, Installer
from steadyd.runner.lockfile import LOCK
from steadyd.runner.outlay import Tell
from steadyd.tree import Tree, check_tree, find_entry


@dataclass(frozen=True, slots=True)
class Prepared:
    """A tree whose dependencies are in place, with the lock that pins them."""

    tree: Tree
    manifest: Manifest
    installed: Installed

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""
        return (*self.manifest.notes, *self.installed.notes)


class Drafts:
    """Makes them, for deploys and for previews."""

    def __init__(self, ground: Ground, installer: Installer) -> None:
        self.installer = installer
        self._ground = ground

    async def content(self, file: File) -> bytes:
        """One file of a version."""
        return await asyncio.to_thread(self._ground.blobs.get, file.sha256)

    async def lock(self, version: Version) -> bytes:
        """What pins a version's dependencies; b"" where nothing does."""
        found = [file for file in version.files if file.path == LOCK]
        return await self.content(found[0]) if found else b""

    async def merged(self, live: Version, changes: Mapping[str, bytes | None]) -> Tree:
        """The live version's files with some changed, added or (`None`) deleted.

        Raises:
            SteadyError: `invalid_path` where there is nothing to delete, or anything `check_tree` says.
        """
        tree = {file.path: await self.content(file) for file in live.files if file.path not in changes}
        for path, content in changes.items():
            if content is None and path not in {file.path for file in live.files}:
                said = f"“{path}” cannot be deleted: version {live.number} has no such file."
                raise SteadyError("invalid_path", said, {"path": path})
            if content is not None:
                tree[path] = content
        return check_tree(tree, self._ground.apps.policy.tree)

    async def tree(self, live: Version, files: Mapping[str, bytes | None], merge: bool) -> tuple[Tree, bytes]:
        """A whole tree, of `files` or of what is live with these changed; and what pins its dependencies besides it.

        Raises:
            SteadyError: as `merged`.
        """
        if merge:
            return await self.merged(live, files), b""
        tree = {path: content for path, content in files.items() if content is not None}
        return check_tree(tree, self._ground.apps.policy.tree), await self.lock(live)

    def read(self, app: App, tree: Tree) -> Manifest:
        """What the tree's own file says.

        Raises:
            SteadyError: `invalid`.
        """
        return read_manifest(tree, self._ground.apps.policy, app.owner_kind)

    async def prepare(
        self, app: App, tree: Tree, manifest: Manifest, pinned: bytes = b"", tell: Tell = lambda said: None
    ) -> Prepared:
        """Have the dependencies of `tree` in place. `pinned` is the lock of the version before, for a tree without one.

        Raises:
            SteadyError: `deploy_failed` (steps `check` and `install`), `too_large` or `invalid`.
        """
        installed = await self.installer.install(self._ground.place(app), tree, pinned, tell)
        if installed.lock is not None:  # it travels with the version, so that that installs the same for ever
            tree = {**tree, LOCK: installed.lock}
        return Prepared(tree, manifest, installed)

    async def keep(self, prepared: Prepared, origin: Origin) -> Draft:
        """Keep the contents. Only inside `Shelf.kept`, since no version needs them yet."""
        files = await asyncio.to_thread(self._ground.blobs.put, prepared.tree)
        manifest, bun = prepared.manifest, self._ground.starter.engine.bun_version
        wishes = (manifest.choices, bun, manifest.crons)
        return Draft(find_entry(prepared.tree), origin, tuple(files), prepared.installed.modules, *wishes)
