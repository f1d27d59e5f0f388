// Does what apps do and prints what came of each; test_seccomp.py judges.
import { Database } from "bun:sqlite";
import { mkdtempSync, watch, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";

const within = <T>(told: Promise<T>) => Promise.race([told, Bun.sleep(5000).then(() => "too late")]);

function worker() {
  const source = new Blob(['postMessage(6 * 7)'], { type: "application/javascript" });
  return new Promise((told) => (new Worker(URL.createObjectURL(source)).onmessage = ({ data }) => told(data)));
}

function websocket() {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no")),
    websocket: { message: (socket, text) => void socket.send(`${text}!`) },
  });
  return new Promise((told) => {
    const client = new WebSocket(`ws://127.0.0.1:${server.port}/`);
    client.onopen = () => client.send("hello");
    client.onmessage = ({ data }) => told(data);
    client.onerror = () => told("error");
  });
}

function watching() {
  const folder = mkdtempSync("/tmp/watched-");
  const changed = new Promise((told) => watch(folder, (_, name) => told(name)));
  writeFileSync(`${folder}/file`, "x");
  return changed;
}

async function sqlite() {
  const database = new Database("/tmp/data.sqlite");
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (n); INSERT INTO t VALUES (7)");
  return database.query("SELECT n FROM t").get();
}

console.log(
  JSON.stringify({
    spawn: (await Bun.$`echo one | cat`.text()).trim(),
    child: Bun.spawnSync(["sh", "-c", "echo two"]).stdout.toString().trim(),
    worker: await within(worker()),
    sqlite: await sqlite(),
    websocket: await within(websocket()),
    watch: await within(watching()),
    interfaces: Object.keys(networkInterfaces()),
    init: await Bun.file("/proc/1/status").text(),
    status: await Bun.file("/proc/self/status").text(),
  }),
);
process.exit(0);
