"""Damaged databases, made by damaging good ones: what an app may leave in its folder, by accident or on purpose.

The format that is bent here: https://www.sqlite.org/fileformat2.html, and walformat.html. The same seed makes the same
database.
"""

from __future__ import annotations

import random
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = 1024
SUFFIXES = ("", "-wal", "-shm", "-journal")
HUGE = (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
Parts = dict[str, bytearray]
"""Suffix → content: the database, and what lies beside it."""
Change = Callable[[random.Random, Parts], None]


@dataclass(frozen=True)
class Mutant:
    """One damaged database. `sparse` is a size to which the file is stretched by a hole; 0: it has none."""

    name: str
    parts: dict[str, bytes]
    sparse: int = 0

    def write(self, folder: Path) -> Path:
        """Into a folder, with what lies beside it."""
        path = folder / f"{self.name}.sqlite"
        for suffix, content in self.parts.items():
            path.with_name(path.name + suffix).write_bytes(content)
        if self.sparse:
            with path.open("r+b") as file:
                file.truncate(self.sparse)
        return path


def mutants(count: int, seed: int = 1) -> Iterator[Mutant]:
    """So many, each kind of damage in turn."""
    for number in range(count):
        change = CHANGES[number % len(CHANGES)]
        rng = random.Random(seed * 1_000_003 + number)
        wal = change in IN_WAL or number // len(CHANGES) % 5 == 4
        parts = {suffix: bytearray(content) for suffix, content in good(wal).items()}
        change(rng, parts)
        sparse = rng.choice((1 << 33, 1 << 40)) if change is huge_page_count and rng.random() < 0.5 else 0
        yield Mutant(f"{number:03}-{change.__name__}", {suffix: bytes(part) for suffix, part in parts.items()}, sparse)


@cache
def good(wal: bool) -> dict[str, bytes]:
    """A database with indexes, overflowing rows, free pages, and tables without rowids; in WAL mode with a log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good"
        writer = sqlite3.connect(path, isolation_level=None)
        writer.executescript(
            f"""
            PRAGMA page_size = {PAGE}; PRAGMA auto_vacuum = {int(wal)}; PRAGMA journal_mode = DELETE;
            CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, data BLOB);
            CREATE INDEX by_text ON notes (text);
            CREATE TABLE pairs (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
            CREATE TABLE gone (x);
            CREATE VIEW seen AS SELECT id, length(data) AS bytes FROM notes;
            CREATE TRIGGER watch AFTER INSERT ON pairs BEGIN UPDATE notes SET text = new.a WHERE id = 1; END;
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
                INSERT INTO notes SELECT i, 'note ' || i, randomblob(i * 20) FROM n;
            INSERT INTO pairs SELECT id, text FROM notes;
            INSERT INTO gone SELECT randomblob(900) FROM notes;
            DROP TABLE gone;
            """
        )
        if wal:
            writer.executescript("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; BEGIN")
            writer.execute("UPDATE notes SET text = 'new ' || id WHERE id < 9")
            writer.execute("COMMIT")
            writer.execute("DELETE FROM notes WHERE id BETWEEN 100 AND 110")
        files = {suffix: path.with_name(path.name + suffix) for suffix in SUFFIXES}
        parts = {suffix: file.read_bytes() for suffix, file in files.items() if file.exists()}
        writer.close()
        return parts


def script(path: Path, sql: str) -> Path:
    """A database that is in order, and hostile by what its schema says."""
    writer = sqlite3.connect(path, isolation_level=None)
    writer.executescript(sql)
    writer.close()
    return path


ENDLESS = """
    CREATE TABLE t (x);
    INSERT INTO t VALUES (1);
    CREATE VIEW endless AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;
    CREATE VIEW product AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        SELECT a.i FROM n a, n b, n c, n d WHERE a.i + b.i + c.i + d.i = -1;
    CREATE VIEW large AS SELECT randomblob(900000000) AS x;
    CREATE VIEW mirror AS SELECT 1 AS x;
    CREATE TABLE trap (x DEFAULT 1, y GENERATED ALWAYS AS (hex(zeroblob(400000000))) VIRTUAL);
    INSERT INTO trap (x) VALUES (1);
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = 'CREATE VIEW mirror AS SELECT * FROM mirror' WHERE name = 'mirror';
"""
"""Views that never end, that recurse into themselves, that ask for gigabytes."""


# ------------------------------------------------------------------------------------------------------- the damage


def put(parts: Parts, at: int, content: bytes, suffix: str = "") -> None:
    part = parts.setdefault(suffix, bytearray())
    if 0 <= at < len(part):
        part[at : at + len(content)] = content[: len(part) - at]


def pages(parts: Parts) -> int:
    return max(1, len(parts[""]) // PAGE)


def a_page(rng: random.Random, parts: Parts) -> int:
    """Where one of a tree begins; in the first one that is behind the header."""
    trees: list[int] = [at for at in (100, *range(PAGE, len(parts[""]), PAGE)) if parts[""][at] in (2, 5, 10, 13)]
    return rng.choice(trees)


def number(rng: random.Random, parts: Parts) -> bytes:
    """Four bytes that might be a page: itself, any, none, or far out."""
    return struct.pack(">I", rng.choice((*HUGE, *range(1, pages(parts) + 2))))


def bits(rng: random.Random, parts: Parts) -> None:
    part = parts[rng.choice([suffix for suffix, content in parts.items() if content])]
    for _ in range(rng.choice((1, 3, 30, 300))):
        part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)


def header_field(rng: random.Random, parts: Parts) -> None:
    at = rng.choice((16, 18, 19, 20, 21, 22, 23, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 92, 96))
    put(parts, at, rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01", b"\x7f", rng.randbytes(4))))


def page_size(rng: random.Random, parts: Parts) -> None:
    put(parts, 16, struct.pack(">H", rng.choice((0, 1, 2, 3, 256, 511, 512, 513, 4096, 32768, 65535))))


def huge_page_count(rng: random.Random, parts: Parts) -> None:
    put(parts, 28, struct.pack(">I", rng.choice((0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 30))))
    put(parts, 92, bytes(parts[""][24:28]))


def page_type(rng: random.Random, parts: Parts) -> None:
    put(parts, a_page(rng, parts), bytes([rng.choice((0, 1, 2, 3, 5, 9, 10, 13, 255))]))


def page_header(rng: random.Random, parts: Parts) -> None:
    at = a_page(rng, parts)
    put(parts, at + rng.choice((1, 3, 5, 7)), rng.choice((b"\0\0", b"\xff\xff", rng.randbytes(2))))
    put(parts, at + 8, number(rng, parts))


def cell_pointers(rng: random.Random, parts: Parts) -> None:
    at = a_page(rng, parts) + rng.choice((8, 12))
    for cell in range(rng.randrange(1, 20)):
        put(parts, at + 2 * cell, rng.choice((b"\0\0", b"\xff\xff", b"\0\x64", rng.randbytes(2))))


def cells(rng: random.Random, parts: Parts) -> None:
    """What a cell says of its own length, and of the page that goes on with it."""
    at = a_page(rng, parts)
    content = at - at % PAGE + struct.unpack(">H", bytes(parts[""][at + 5 : at + 7]).ljust(2, b"\0"))[0]
    for _ in range(rng.randrange(1, 8)):
        put(parts, content + rng.randrange(64), rng.choice((b"\xff" * 9, b"\x81" * 8 + b"\x7f", number(rng, parts))))


def tree_loop(rng: random.Random, parts: Parts) -> None:
    """Inner pages whose children are themselves, or what is above them."""
    for page in range(pages(parts)):
        at = page * PAGE + (100 if page == 0 else 0)
        if parts[""][at] in (2, 5):
            put(parts, at + 8, struct.pack(">I", page + 1))
            first = page * PAGE + struct.unpack(">H", parts[""][at + 12 : at + 14])[0]
            put(parts, first, struct.pack(">I", rng.choice((1, page + 1))))


def freelist_loop(rng: random.Random, parts: Parts) -> None:
    trunk = struct.unpack(">I", parts[""][32:36])[0] or rng.randrange(1, pages(parts) + 1)
    put(parts, 32, struct.pack(">I", trunk))
    put(parts, 36, number(rng, parts))
    put(parts, (trunk - 1) * PAGE, struct.pack(">II", trunk, rng.choice((0, 5, 1 << 20, 0xFFFFFFFF))))
    put(parts, (trunk - 1) * PAGE + 8, number(rng, parts) * 20)


def overflow_loop(rng: random.Random, parts: Parts) -> None:
    """Whatever may be a page of overflow goes on in itself, in the first, or nowhere."""
    for page in range(1, pages(parts)):
        if parts[""][page * PAGE] == 0:
            put(parts, page * PAGE, struct.pack(">I", rng.choice((page + 1, 1, pages(parts) + 9))))


def schema_text(rng: random.Random, parts: Parts) -> None:
    for old, new in (
        (b"CREATE TABLE", b"CREATE VIEW "), (b"notes", b"pairs"), (b"PRIMARY KEY", b"REFERENCES "),
        (b"AFTER INSERT", b"AFTER \0\0\0\0\0\0"), (b"WITHOUT ROWID", b"STRICT STRICT"), (b"by_text", b"sqlite_"),
    ):  # fmt: skip
        if rng.random() < 0.4:
            parts[""] = bytearray(bytes(parts[""]).replace(old, new))


def root_pages(rng: random.Random, parts: Parts) -> None:
    """Tables and indexes that begin in each other's pages."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bent"
        path.write_bytes(parts[""])
        writer = sqlite3.connect(path, isolation_level=None)
        try:
            writer.execute("PRAGMA writable_schema = ON")
            roots = [rng.choice((0, 1, 2, 3, -1, 1 << 31, pages(parts))) for _ in range(3)]
            for name, root in zip(("notes", "by_text", "pairs"), roots, strict=True):
                writer.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (root, name))
        finally:
            writer.close()
        parts[""] = bytearray(path.read_bytes())


def cut(rng: random.Random, parts: Parts) -> None:
    part = parts[rng.choice([suffix for suffix, content in parts.items() if content])]
    del part[rng.choice((0, 1, 15, 16, 20, 99, 100, 101, PAGE - 1, PAGE, rng.randrange(len(part)))) :]


def garbage(rng: random.Random, parts: Parts) -> None:
    at = rng.choice((16, 100, PAGE))
    parts[""][at:] = rng.randbytes(rng.choice((0, 100, 5 * PAGE)))


def wal_header(rng: random.Random, parts: Parts) -> None:
    put(parts, rng.choice((0, 4, 8, 12, 16, 20, 24, 28)), rng.choice((bytes(4), b"\xff" * 4, rng.randbytes(4))), "-wal")


def wal_frames(rng: random.Random, parts: Parts) -> None:
    """Pages that are not there, sizes that are not true, checksums that are: as whoever wrote it on purpose would."""
    for _ in range(rng.randrange(1, 6)):
        frame = rng.randrange(max(1, (len(parts["-wal"]) - 32) // (PAGE + 24)))
        at = 32 + frame * (PAGE + 24)
        put(parts, at + rng.choice((0, 4, 8, 16, 24)), rng.choice((number(rng, parts), rng.randbytes(8))), "-wal")
    if rng.random() < 0.7:
        seal(parts["-wal"])


def wal_content(rng: random.Random, parts: Parts) -> None:
    """Frames in order whose pages are not."""
    for _ in range(rng.randrange(1, 30)):
        frame = rng.randrange(max(1, (len(parts["-wal"]) - 32) // (PAGE + 24)))
        at = 32 + frame * (PAGE + 24) + 24 + rng.choice((0, 3, 5, 8, 12, 28, rng.randrange(PAGE)))
        put(parts, at, rng.choice((b"\xff\xff", b"\0\0", rng.randbytes(4))), "-wal")
    seal(parts["-wal"])


def seal(wal: bytearray) -> None:
    """Right checksums for whatever is in the log (walformat.html, 4.2)."""
    order = ">" if wal[3] & 1 else "<"
    sums = checksum(bytes(wal[:24]), (0, 0), order)
    wal[24:32] = struct.pack(">II", *sums)
    for at in range(32, len(wal) - PAGE - 23, PAGE + 24):
        wal[at + 8 : at + 16] = wal[16:24]
        sums = checksum(bytes(wal[at + 24 : at + 24 + PAGE]), checksum(bytes(wal[at : at + 8]), sums, order), order)
        wal[at + 16 : at + 24] = struct.pack(">II", *sums)


def checksum(content: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second


def index(rng: random.Random, parts: Parts) -> None:
    """The log's index: of frames that are not there, of another log, or of nothing."""
    said = bytearray(parts.get("-shm") or bytes(32 << 10))
    for at in (16, 20, 32, 40, 64, 96):
        if rng.random() < 0.5:
            said[at : at + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\xff" * 4, rng.randbytes(4)))
    said[48:96] = said[:48]
    parts["-shm"] = rng.choice((said, bytearray(), bytearray(rng.randbytes(32 << 10)), said[:95]))


def journal(rng: random.Random, parts: Parts) -> None:
    """A hot journal (fileformat2.html, 3) that names pages far out, or another journal elsewhere."""
    magic = bytes.fromhex("d9d505f920a163d7")
    head = magic + struct.pack(">IIIII", rng.choice(HUGE), rng.getrandbits(32), rng.choice(HUGE), 512, PAGE)
    name = rng.choice((b"/etc/passwd", b"../../victim/app/data.sqlite", b"x" * 300))
    tail = struct.pack(">I", 0) + name + struct.pack(">II", len(name), sum(name)) + magic
    record = number(rng, parts) + rng.randbytes(PAGE) + rng.randbytes(4)
    parts["-journal"] = bytearray(head.ljust(512, b"\0") + record * rng.randrange(3) + tail)


def nothing_but_a_name(rng: random.Random, parts: Parts) -> None:
    parts[""] = bytearray(b"SQLite format 3\0" + rng.choice((b"", bytes(84), b"\x10\0\x02\x02", bytes(PAGE))))


CHANGES: tuple[Change, ...] = (
    bits, header_field, page_size, huge_page_count, page_type, page_header, cell_pointers, cells, tree_loop,
    freelist_loop, overflow_loop, schema_text, root_pages, cut, garbage, wal_header, wal_frames, wal_content, index,
    journal, nothing_but_a_name,
)  # fmt: skip
IN_WAL = (wal_header, wal_frames, wal_content, index)
