// Tries to read, reach and change what is not its own, and tells what came of it; test_hostile_reading.py judges.
import { dlopen, ptr, read } from "bun:ffi";
import {
  chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, readlinkSync, renameSync,
  rmSync, statSync, symlinkSync, unlinkSync, writeFileSync, writeSync,
} from "node:fs";
import net from "node:net";

const { symbols: libc } = dlopen("libc.so.6", {
  shmget: { args: ["i32", "u64", "i32"], returns: "i32" },
  semget: { args: ["i32", "i32", "i32"], returns: "i32" },
  msgget: { args: ["i32", "i32"], returns: "i32" },
  mknod: { args: ["ptr", "u32", "u64"], returns: "i32" },
  syscall: { args: ["i64", "i64", "i64"], returns: "i64" },
  __errno_location: { args: [], returns: "ptr" },
});
const errno = libc.__errno_location()!;
const failure = (result: number | bigint) => (Number(result) === -1 ? read.i32(errno, 0) : "reached");

function outcome(work: () => unknown): any {
  try {
    return work() ?? "done";
  } catch (error: any) {
    return error.code ?? String(error);
  }
}

const text = (path: string): string => outcome(() => readFileSync(path, "latin1"));
const each = <T>(paths: string[], look: (path: string) => T) => Object.fromEntries(paths.map((path) => [path, look(path)]));

/** Every path below `folder` that can be seen, without following links; `leave` is not entered. */
function walk(folder: string, leave: string[]): string[] {
  const names = outcome(() => readdirSync(folder, { withFileTypes: true }));
  if (typeof names === "string") return [`${folder} ${names}`];
  return names.flatMap((entry: any) => {
    const path = `${folder === "/" ? "" : folder}/${entry.name}`;
    return entry.isDirectory() && !leave.includes(path) ? [path, ...walk(path, leave)] : [path];
  });
}

function connect(target: net.NetConnectOpts): Promise<string> {
  return new Promise((told) => {
    const socket = net.connect(target, () => (socket.destroy(), told("reached")));
    socket.on("error", (error: any) => told(error.code));
  });
}

function write(path: string, content = "x"): string {
  return outcome(() => {
    const descriptor = openSync(path, "r+");
    writeSync(descriptor, content);
    closeSync(descriptor);
  });
}

/** How much fits, in MiB, and why no more. */
function fill(folder: string): [number, string] {
  const mebibyte = new Uint8Array(1 << 20);
  const path = `${folder}/filled`;
  const descriptor = openSync(path, "w");
  let written = 0;
  const why = outcome(() => {
    while (written < 256 << 20) written += writeSync(descriptor, mebibyte);
  });
  closeSync(descriptor);
  rmSync(path);
  return [written >> 20, why];
}

const LOOKS: Record<string, (asked: any) => unknown> = {
  tree: () => walk("/", ["/usr", "/proc", "/steady", "/lib", "/lib64", "/bin", "/sbin"]).sort(),
  files: ({ paths }) => each(paths, (path) => outcome(() => (readFileSync(path), "read"))),
  links: ({ paths }) =>
    each(paths, (path) => outcome(() => (rmSync("/tmp/link", { force: true }), symlinkSync(path, "/tmp/link"), readFileSync("/tmp/link"), "read"))),
  processes: () =>
    readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)).map((pid) => ({
      pid: Number(pid),
      told: ["environ", "cmdline", "maps", "mountinfo", "cgroup"].map((name) => text(`/proc/${pid}/${name}`)).join("\n"),
      places: ["cwd", "root", "exe"].map((name) => outcome(() => readlinkSync(`/proc/${pid}/${name}`))),
      open: outcome(() => readdirSync(`/proc/${pid}/fd`).map((fd) => outcome(() => readlinkSync(`/proc/${pid}/fd/${fd}`)))),
    })),
  signals: ({ pids }) => each(pids.map(String), (pid) => [existsSync(`/proc/${pid}/status`), outcome(() => process.kill(Number(pid), 0))]),
  everywhere: () => readdirSync("/proc/1/root").sort(),
  sockets: async ({ targets }) => Promise.all(targets.map(connect)),
  unix: () => text("/proc/net/unix"),
  memory: ({ key }) => ({
    shm: failure(libc.shmget(key, 1, 0)), sem: failure(libc.semget(key, 1, 0)), msg: failure(libc.msgget(key, 0)),
    shm_file: existsSync(`/dev/shm/steady-${key}`),
    listed: ["shm", "sem", "msg"].map((kind) => text(`/proc/sysvipc/${kind}`).trim().split("\n").length - 1),
  }),
  queue: ({ name, number }) => failure(libc.syscall(number, ptr(Buffer.from(`${name}\0`)), 0)),
  writes: ({ paths }) => each(paths, (path) => write(path)),
  makes: ({ paths }) => each(paths, (path) => outcome(() => mkdirSync(path))),
  devices: () => [0o060666, 0o020666].map((mode) => failure(libc.mknod(ptr(Buffer.from(`/tmp/device${mode}\0`)), mode, 0x100n))),
  shipped: () => ({
    write: write("/app/index.ts"), append: outcome(() => writeFileSync("/app/index.ts", "x", { flag: "a" })),
    remove: outcome(() => unlinkSync("/app/index.ts")), chmod: outcome(() => chmodSync("/app/index.ts", 0o777)),
    rename: outcome(() => (writeFileSync("/app/other", "x"), renameSync("/app/other", "/app/index.ts"))),
    still: readFileSync("/app/index.ts").length,
  }),
  fill: ({ folder }) => fill(folder),
  scores: () => ["self", "1"].map((pid) => outcome(() => writeFileSync(`/proc/${pid}/oom_score_adj`, "-1000"))),
  environ: () => process.env,
};

export default {
  async fetch(request: Request) {
    if (request.method !== "POST") return new Response("nothing to see");
    const asked = (await request.json()) as any;
    return Response.json({ found: await LOOKS[asked.look]!(asked) });
  },
};
