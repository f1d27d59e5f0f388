"""A package registry of our own: real TLS on a real port, found by Bun under the real registry's name."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import shutil
import ssl
import subprocess
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.runner import install
from steadyd.runner.registry import REGISTRY, Registry, Streams

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here to make a certificate with")


class Npm:
    """What it has, and what it was asked for."""

    def __init__(self) -> None:
        self.port = 0
        self.away = False
        self.asked: list[str] = []
        self.packages: dict[str, dict[str, bytes]] = {}
        self.needs: dict[str, dict[str, str]] = {}

    def publish(
        self,
        name: str,
        version: str,
        source: str = "",
        needs: Mapping[str, str] | None = None,
        scripts: Mapping[str, str] | None = None,
    ) -> None:
        """A package whose index.js is `source`."""
        package = {"name": name, "version": version, "main": "index.js", "dependencies": dict(needs or {})}
        package["scripts"] = dict(scripts or {})
        files = {"package.json": json.dumps(package), "index.js": source or f"module.exports = {version!r};"}
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path, text in files.items():
                entry = tarfile.TarInfo(f"package/{path}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        self.packages.setdefault(name, {})[version] = packed.getvalue()
        self.needs[f"{name}@{version}"] = dict(needs or {})

    @property
    def tarballs(self) -> list[str]:
        """The packages that were downloaded."""
        return [path for path in self.asked if path.endswith(".tgz")]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while line := (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]:
                path = line.split(b" ")[1].decode().replace("%2f", "/")
                self.asked.append(path)
                content = self._find(path)
                status = "200 OK" if content else "404 Not Found"
                head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nContent-Type: application/json\r\n\r\n"
                writer.write(head.encode() + content)
                await writer.drain()
        writer.close()

    def _find(self, path: str) -> bytes:
        name, _, file = path.strip("/").partition("/-/")
        versions = self.packages.get(name, {})
        if file:
            return versions.get(file.removesuffix(".tgz").rpartition("-")[2], b"")
        if not versions:
            return b""
        listed = {version: self._entry(name, version, content) for version, content in versions.items()}
        return json.dumps({"name": name, "dist-tags": {"latest": list(versions)[-1]}, "versions": listed}).encode()

    def _entry(self, name: str, version: str, content: bytes) -> dict[str, object]:
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        tarball = f"https://{REGISTRY[0]}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
        dist = {"tarball": tarball, "integrity": f"sha512-{digest}"}
        return {"name": name, "version": version, "dependencies": self.needs[f"{name}@{version}"], "dist": dist}


class Rerouted(Registry):
    """The registry's name leads to `npm`."""

    def __init__(self, runtime: Path, npm: Npm) -> None:
        super().__init__(runtime)
        self._npm = npm

    async def dial(self) -> Streams:
        if self._npm.away:
            raise ConnectionRefusedError(111, "Connection refused")
        return await asyncio.open_connection("127.0.0.1", self._npm.port)


@asynccontextmanager
async def npm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Npm]:
    """A registry whose certificate this host trusts for as long."""
    made, certificate = Npm(), await asyncio.to_thread(_certify, folder)
    monkeypatch.setattr(install, "CERTIFICATES", (str(certificate),))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def _certify(folder: Path) -> Path:
    words = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={REGISTRY[0]}"
    words += f" -addext subjectAltName=DNS:{REGISTRY[0]} -keyout {folder / 'key.pem'} -out {folder / 'certificate.pem'}"
    subprocess.run(words.split(), check=True, capture_output=True)
    (folder / "certificate.pem").chmod(0o644)
    return folder / "certificate.pem"
