"""The harness with a real Bun: whatever server an app starts answers on the socket, and the daemon is told."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.bun_app import DEADLINE_SECONDS, PORT, URL, BunApp, write_files

HTTP = 'import { createServer } from "node:http";\nconst server = createServer((_, response) => response.end("ok"));\n'
NET = """
const answer = "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok";
"""
WAYS = {
    "default export": 'export default { port: 80, fetch: () => new Response("ok") };',
    "default export, asynchronous": 'await Bun.sleep(1); export default { fetch: () => new Response("ok") };',
    "default export with a prototype": """
        class App { #text = "ok"; text = () => this.#text; get tls() { return { key: "?", cert: "?" }; }
            fetch() { return new Response(app.text()); } }
        const app = new App();
        export default app;""",
    "Bun.serve": 'Bun.serve({ port: 80, hostname: "0.0.0.0", reusePort: true, fetch: () => new Response("ok") });',
    "serve of bun": 'import { serve } from "bun"; serve({ fetch: () => new Response("ok") });',
    "Bun.serve with routes": 'Bun.serve({ routes: { "/": new Response("ok") } });',
    "Bun.serve with static": 'Bun.serve({ static: { "/": new Response("ok") }, fetch: () => new Response("no") });',
    "Bun.serve with tls": 'Bun.serve({ tls: { key: "?", cert: "?" }, fetch: () => new Response("ok") });',
    "Bun.serve on a socket": 'Bun.serve({ unix: "/nowhere/at/all", fetch: () => new Response("ok") });',
    "Bun.serve, reloaded": """
        const server = Bun.serve({ fetch: () => new Response("no") });
        server.reload({ fetch: () => new Response("ok") });""",
    "node:http, no port": HTTP + "server.listen();",
    "node:http, port": HTTP + "server.listen(80);",
    "node:http, port as text": HTTP + 'server.listen("80", () => {});',
    "node:http, port and host": HTTP + 'server.listen(80, "0.0.0.0", 511, () => {});',
    "node:http, options": HTTP + 'server.listen({ port: 80, host: "::" });',
    "node:http, socket": HTTP + 'server.listen("/nowhere/at/all");',
    "http of CommonJS": 'require("http").createServer((_, response) => response.end("ok")).listen(80);',
    "node:https": """
        import { createServer } from "node:https";
        createServer({}, (_, response) => response.end("ok")).listen(443);""",
    "node:net": NET
    + """import net from "node:net";
        net.createServer((peer) => peer.once("data", () => peer.end(answer))).listen({ port: 80, host: "0.0.0.0" });""",
    "Bun.listen": NET + 'Bun.listen({ port: 80, hostname: "0.0.0.0", socket: { data(peer) { peer.end(answer); } } });',
}


@pytest.mark.parametrize("source", WAYS.values(), ids=WAYS.keys())
def test_every_way_of_starting_a_server_ends_on_the_socket(tmp_path: Path, source: str) -> None:
    """Design section 5: the port in the code does not matter."""
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        assert app.get().text == "ok"
        assert [event["event"] for event in app.events] == ["ready"]


def test_the_answers_url_is_the_one_asked_for(tmp_path: Path) -> None:
    write_files(tmp_path, {"index.ts": "export default { fetch: (request) => new Response(request.url) };"})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        assert app.get("/a/b?c=d").text == "http://hello.localhost:8080/a/b?c=d"


SHOWN = {
    "Bun.serve": """
        const server = Bun.serve({
            port: 80, fetch: () => Response.json([server.port, server.hostname, String(server.url)]) });
    """,
    "node:http": """
        import { createServer } from "node:http";
        const server = createServer((_, response) => response.end(JSON.stringify(
            [server.address().port, server.address().address, `http://localhost:${server.address().port}/`])));
        server.listen(80, "localhost");
    """,
    "node:net": """
        import { createServer } from "node:net";
        const server = createServer((peer) => peer.once("data", () => {
            const body = JSON.stringify([server.address().port, server.address().address,
                `http://localhost:${server.address().port}/`]);
            peer.end(`HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n${body}`);
        }));
        server.listen(80, "localhost");
    """,
}


@pytest.mark.parametrize("source", SHOWN.values(), ids=SHOWN.keys())
def test_the_server_seems_to_listen_on_port(tmp_path: Path, source: str) -> None:
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        assert app.get().json == [PORT, "localhost", f"http://localhost:{PORT}/"]


def test_the_line_that_bun_prints_is_true(tmp_path: Path) -> None:
    write_files(tmp_path, {"index.ts": "export default { fetch: () => new Response() };"})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        app.get()
        assert app.output == f"Started server: {URL}\n"


def test_only_that_line_is_changed(tmp_path: Path) -> None:
    source = """
        Bun.serve({ fetch: () => new Response() });
        console.debug("a", 1);
        await 0;
        console.debug("Started server: b");
    """
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        app.get()
        assert app.output == "a 1\nStarted server: b\n"


CLIENTS = {
    "Bun.serve": """
        Bun.serve({ fetch: (request, server) => new Response(server.requestIP(request).address) });""",
    "node:http": """
        import { createServer } from "node:http";
        createServer((request, response) => response.end(request.socket.remoteAddress)).listen(80);""",
}


@pytest.mark.parametrize("source", CLIENTS.values(), ids=CLIENTS.keys())
def test_the_client_is_the_one_that_the_proxy_names(tmp_path: Path, source: str) -> None:
    """A Unix socket has no addresses; apps that take one for granted would fail."""
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        assert app.get().text == "127.0.0.1"
        assert app.get(headers={"X-Forwarded-For": "10.0.0.1, 2001:db8::7"}).text == "2001:db8::7"


def test_user_code_sees_the_contracts_variables_only(tmp_path: Path) -> None:
    source = """
        const names = (variables) => Object.keys(variables).filter((name) => name.startsWith("STEADY_")).sort();
        const seen = [process.env, Bun.env, import.meta.env].map(names);
        export default { fetch: () => Response.json(seen) };
    """
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        assert app.get().json == [["STEADY_ENV", "STEADY_URL"]] * 3


def test_a_second_server_is_left_alone(tmp_path: Path) -> None:
    source = """
        Bun.serve({ port: 80, fetch: () => new Response("first") });
        const second = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("second") });
        console.log(second.port);
    """
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        assert app.get().text == "first"
        with socket.create_connection(("127.0.0.1", int(app.output)), timeout=DEADLINE_SECONDS) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert peer.makefile("rb").read().endswith(b"second")


RESTARTS = {
    "Bun.serve": """
        const first = Bun.serve({ fetch: () => new Response("first") });
        process.once("SIGUSR2", async () => {
            await first.stop(true);
            Bun.serve({ fetch: () => new Response("again") });
        });""",
    "using": """
        { using first = Bun.serve({ fetch: () => new Response("first") });
          await new Promise((resolve) => process.once("SIGUSR2", resolve)); }
        Bun.serve({ fetch: () => new Response("again") });""",
    "node:http": """
        import { createServer } from "node:http";
        const first = createServer((_, response) => response.end("first")).listen(80);
        process.once("SIGUSR2", () =>
            first.close(() => createServer((_, response) => response.end("again")).listen(80)));""",
}


@pytest.mark.parametrize("source", RESTARTS.values(), ids=RESTARTS.keys())
def test_a_server_that_is_stopped_and_started_binds_again(tmp_path: Path, source: str) -> None:
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        assert app.get().text == "first"
        app.process.send_signal(signal.SIGUSR2)
        app.wait("ready", times=2)
        assert app.get().text == "again"
        assert [event["event"] for event in app.events] == ["ready", "closed", "ready"]


FAILURES = {
    "parse error": ("const a = 1;\nconst b = ;\n", "index.ts", 2, "Unexpected ;", "const b = ;"),
    "parse error in a module": ('import "./wrong";\n', "wrong.ts", 2, "Unexpected end of file", None),
    "missing package": (
        '\nimport { Hono } from "hono";\nnew Hono();',
        "index.ts",
        2,
        "hono",
        'import { Hono } from "hono";',
    ),
    "missing module": ('import x from "./nope";\nconsole.log(x);', "index.ts", 1, "./nope", 'import x from "./nope";'),
    "thrown at the start": ('\nthrow new Error("boom");', "index.ts", 2, "boom", 'throw new Error("boom");'),
    "rejected at the start": ('await Promise.reject(new Error("boom"));', "index.ts", 1, "boom", None),
    "thrown later": ("setTimeout(() => {\n  null.x;\n}, 1);", "index.ts", 2, "null is not an object", "  null.x;"),
    "thrown in a dependency": ('import { f } from "dep";\n\nf();', "index.ts", 3, "from dep", "f();"),
    "wrong options": (
        "\nBun.serve({ fetch: 3 });",
        "index.ts",
        2,
        "fetch() to be a function",
        "Bun.serve({ fetch: 3 });",
    ),
    "no options": ("\n\nBun.serve();", "index.ts", 3, "", "Bun.serve();"),
    "missing export": ('import { y } from "./other";\nconsole.log(y);', None, None, "Export named 'y' not found", None),
    "no error at all": ('throw "words";', None, None, "words", None),
}


@pytest.mark.parametrize(("source", "file", "line", "message", "quoted"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_says_where(
    tmp_path: Path, source: str, file: str | None, line: int | None, message: str, quoted: str | None
) -> None:
    """Promise: a deploy that does not start is refused with file and line."""
    dependency = {
        "node_modules/dep/package.json": '{"name": "dep", "main": "index.js"}',
        "node_modules/dep/index.js": 'export function f() { throw new Error("from dep"); }',
    }
    write_files(tmp_path, {"index.ts": source, "wrong.ts": "{\n{\n", "other.ts": "export {};", **dependency})
    with BunApp(tmp_path) as app:
        assert app.wait_exit() == 1
        told = app.wait("error")
        assert [event["event"] for event in app.events] == ["error"]
        assert message in told["message"]
        assert (told.get("file"), told.get("line")) == (file, line)
        if quoted is not None:
            assert told["source"] == quoted
        assert "harness.ts" not in app.output
        assert "harness.ts" not in told.get("stack", "")


def test_an_error_that_the_app_handles_is_told_and_ends_nothing(tmp_path: Path) -> None:
    source = """
        process.on("uncaughtException", () => {});
        setTimeout(() => { throw new Error("handled"); }, 1);
        export default { fetch: () => new Response("alive") };
    """
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        assert app.wait("error")["message"] == "handled"
        assert app.get().text == "alive"


def test_an_entry_that_ends_without_listening_ends_the_process(tmp_path: Path) -> None:
    write_files(tmp_path, {"index.ts": "const answer = 42;"})
    with BunApp(tmp_path) as app:
        assert app.wait_exit() == 0
        assert app.events == []


def test_an_entry_that_ends_without_listening_ends_the_process_at_home_too(tmp_path: Path) -> None:
    write_files(tmp_path, {"index.ts": "const answer = 42;"})
    with BunApp(tmp_path, environ={"STEADY_ENV": "local"}) as app:
        assert app.wait_exit() == 0
        assert [event["event"] for event in app.events] == ["modules"]


def test_a_long_message_stays_one_line_of_json(tmp_path: Path) -> None:
    write_files(tmp_path, {"index.ts": 'throw new Error("\\u00e9\\n".repeat(1_000_000));'})
    with BunApp(tmp_path) as app:
        assert app.wait("error")["message"] == "é\n" * 2048


def test_without_a_socket_the_harness_does_nothing(tmp_path: Path) -> None:
    source = 'console.log(Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() }).port !== 41234);'
    write_files(tmp_path, {"index.ts": source + "process.exit(7);"})
    with BunApp(tmp_path, environ={"STEADY_SOCKET": ""}) as app:
        assert app.wait_exit() == 7
        assert app.output == "true\n"
        assert app.events == []


def test_an_app_outlives_the_reader_of_its_events(tmp_path: Path) -> None:
    """The daemon that dies takes its apps along by other means; a broken pipe must not be an error in their code."""
    write_files(tmp_path, {"index.ts": RESTARTS["Bun.serve"]})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        assert app.get().text == "first"
        app.stop_listening()
        app.process.send_signal(signal.SIGUSR2)
        assert eventually(lambda: app.get().text == "again")


def test_an_app_does_not_start_for_a_daemon_that_is_gone(tmp_path: Path) -> None:
    """Killed between the spawn and the first line: nobody is left to end this process, so it ends itself."""
    write_files(tmp_path, {"index.ts": "console.log(1); export default { fetch: () => new Response() };"})
    with BunApp(tmp_path, heard=False) as app:
        assert app.process.wait(DEADLINE_SECONDS) == 1
        assert app.output == ""


@pytest.mark.parametrize(
    ("handler", "code"), [("", -signal.SIGTERM), ("process.on('SIGTERM', () => process.exit(3));", 3)]
)
def test_sigterm_is_the_apps_own(tmp_path: Path, handler: str, code: int) -> None:
    write_files(tmp_path, {"index.ts": handler + "export default { fetch: () => new Response() };"})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        app.process.terminate()
        assert app.wait_exit() == code


def test_websocket(tmp_path: Path) -> None:
    source = """
        Bun.serve({
            fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no", { status: 426 })),
            websocket: { message: (socket, message) => void socket.send(`echo ${message}`) },
        });
    """
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        with contextlib.closing(app.connect()) as connection:
            connection.connect()
            connection.sock.sendall(
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                b"\x81\x82\0\0\0\0hi"
            )
            reader = connection.sock.makefile("rb")
            assert reader.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
            while reader.readline() != b"\r\n":
                pass
            assert reader.read(9) == b"\x81\x07echo hi"


def test_html_import(tmp_path: Path) -> None:
    files = {
        "index.ts": 'import page from "./page.html"; Bun.serve({ routes: { "/": page } });',
        "page.html": '<!doctype html><script type="module" src="./front.ts"></script>',
        "front.ts": 'const word: string = "bundled"; console.log(word);',
    }
    write_files(tmp_path, files)
    with BunApp(tmp_path) as app:
        app.wait("ready")
        page = app.get().text
        script = page.partition('src="')[2].partition('"')[0]
        assert "bundled" in app.get(script).text


@pytest.mark.slow
def test_silence_is_no_reason_to_cut(tmp_path: Path) -> None:
    """Bun would cut an event stream after 10 s and node:http a kept connection after 5 s: the race that gives a 502."""
    streams = """
        Bun.serve({ fetch: () => new Response(new ReadableStream({ async start(controller) {
            controller.enqueue("data: 1\\n\\n");
            await Bun.sleep(12_000);
            controller.enqueue("data: 2\\n\\n");
            controller.close();
        } }), { headers: { "Content-Type": "text/event-stream" } }) });
    """
    kept = """
        import { createServer } from "node:http";
        const server = createServer((_, response) => response.end("ok")).listen(80);
        server.keepAliveTimeout = server.headersTimeout = server.requestTimeout = 1_000;
    """
    write_files(tmp_path, {"index.ts": streams, "kept.ts": kept})
    with BunApp(tmp_path) as app, BunApp(tmp_path, "./kept.ts") as node:
        app.wait("ready")
        node.wait("ready")
        with contextlib.closing(node.connect()) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ok"
            connection.auto_open = False
            assert app.get().text == "data: 1\n\ndata: 2\n\n"  # 12 s
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ok"


# ---------------------------------------------------------------------------------------------- steadyd run


def test_at_home_the_loaded_files_are_told(tmp_path: Path) -> None:
    """`steadyd run` must know what to watch, also files outside the folder and files that are loaded later."""
    files = {
        "app/index.ts": """
            import { word } from "../outside";
            import data from "./data.json";
            import text from "./text.txt" with { type: "text" };
            process.once("SIGUSR2", () => import("./later"));
            export default { fetch: () => Response.json([word, data, text]) };""",
        "outside.ts": 'export const word = "out";',
        "app/data.json": "{}",
        "app/text.txt": "",
        "app/later.ts": "export {};",
        "app/never.ts": "export {};",
    }
    write_files(tmp_path, files)
    with BunApp(tmp_path / "app", environ={"STEADY_ENV": "local"}) as app:
        app.wait("ready")
        assert eventually(lambda: "index.ts" in loaded(app, tmp_path))
        assert loaded(app, tmp_path) == {"index.ts", "outside.ts", "data.json", "text.txt"}
        app.process.send_signal(signal.SIGUSR2)
        assert eventually(lambda: "later.ts" in loaded(app, tmp_path))


def loaded(app: BunApp, folder: Path) -> set[str]:
    app.poll()
    files = {Path(file) for event in app.events if event["event"] == "modules" for file in event["files"]}
    assert all(file.is_relative_to(folder) for file in files)
    return {file.name for file in files}


WRITES = {
    "Bun.write": 'await Bun.write("out", "x")',
    "Bun.write of a file": 'await Bun.write(Bun.file("out"), "x")',
    "write of bun": 'import { write } from "bun"; await write("out", "x")',
    "Bun.file.write": 'await Bun.file("out").write("x")',
    "Bun.file.writer": 'const sink = Bun.file("out").writer(); sink.write("x"); await sink.end()',
    "writeFileSync": 'import { writeFileSync } from "node:fs"; writeFileSync("out", "x")',
    "writeFile": 'import { writeFile } from "fs"; writeFile("out", "x", () => {})',
    "promises.writeFile": 'import { promises } from "fs"; await promises.writeFile("out", "x")',
    "writeFile of fs/promises": 'import { writeFile } from "node:fs/promises"; await writeFile("out", "x")',
    "appendFileSync": 'import fs from "fs"; fs.appendFileSync("out", "x")',
    "createWriteStream": 'import * as fs from "fs"; fs.createWriteStream("out").end("x")',
    "openSync": 'import { openSync } from "fs"; openSync("out", "w")',
    "open of fs/promises": 'import { open } from "fs/promises"; await (await open("out", "a")).close()',
    "copyFileSync": 'require("fs").copyFileSync("in", "out")',
    "renameSync": 'require("fs").writeFileSync("/dev/null", ""); require("fs").renameSync("moved", "out")',
    "file URL": 'require("fs").writeFileSync(new URL("out", import.meta.url), "x")',
    "Buffer": 'require("fs").writeFileSync(Buffer.from("out"), "x")',
    "Database": 'import { Database } from "bun:sqlite"; new Database("out")',
    "default of bun:sqlite": 'import Database from "bun:sqlite"; new Database("out", { create: true })',
    "a class of Database": 'import { Database } from "bun:sqlite"; new (class extends Database {})("out")',
    "DatabaseSync": 'import { DatabaseSync } from "node:sqlite"; new DatabaseSync("out")',
}
READS = """
    import { Database } from "bun:sqlite"; import { openSync, readFileSync, writeSync } from "node:fs";
    new Database(":memory:"); new Database("", {}); readFileSync("in"); openSync("in", "r"); writeSync(1, "x");
    await Bun.file("in").text(); await Bun.write(Bun.stdout, "x");
"""


@pytest.mark.parametrize("source", WRITES.values(), ids=WRITES.keys())
def test_at_home_what_the_app_writes_is_told(tmp_path: Path, source: str) -> None:
    """`steadyd run` must not reload for a file that the app writes."""
    write_files(tmp_path, {"index.ts": source, "in": "", "moved": ""})
    with BunApp(tmp_path, environ={"STEADY_ENV": "local"}) as app:
        assert app.wait_exit() == 0, app.output
        wrote = {event["file"] for event in app.events if event["event"] == "wrote"}
        assert str(tmp_path / "out") in wrote
        if "Database" in source:
            assert {f"{tmp_path}/out{suffix}" for suffix in ("", "-wal", "-shm", "-journal")} == wrote
        if "rename" in source:
            assert str(tmp_path / "moved") in wrote


def test_at_home_what_the_app_reads_is_not_told(tmp_path: Path) -> None:
    write_files(tmp_path, {"index.ts": READS, "in": ""})
    with BunApp(tmp_path, environ={"STEADY_ENV": "local"}) as app:
        assert app.wait_exit() == 0, app.output
        assert [event["event"] for event in app.events] == ["modules"]


def test_served_apps_are_not_watched(tmp_path: Path) -> None:
    source = WRITES["writeFileSync"] + "; export default { fetch: () => new Response() };"
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        app.process.terminate()
        app.wait_exit()
        assert json.dumps(app.events) == '[{"event": "ready"}]'


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if condition():
                return True
        select.select([], [], [], 0.01)
    return False
