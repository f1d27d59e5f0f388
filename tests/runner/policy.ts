// Tells what the sandbox's arguments did; test_policy.py takes one away at a time and judges.
import { closeSync, existsSync, openSync, readFileSync, readlinkSync, statfsSync } from "node:fs";
import { hostname } from "node:os";

function outcome(work: () => unknown): any {
  try {
    return work();
  } catch (error: any) {
    return error.code;
  }
}

const text = (path: string) => outcome(() => readFileSync(path, "latin1"));
const made = (path: string) => outcome(() => (closeSync(openSync(path, "w")), "made"));
const bytes = (path: string) => outcome(() => (({ bsize, blocks }) => bsize * blocks)(statfsSync(path)));
const status = Object.fromEntries(text("/proc/self/status").split("\n").map((line: string) => line.split(":\t")));
const mounts = text("/proc/self/mountinfo").trim().split("\n").map((line: string) => line.split(" "));

console.log(
  JSON.stringify({
    ...Object.fromEntries(
      ["user", "ipc", "pid", "uts", "cgroup", "net"].map((space) => [space, readlinkSync(`/proc/self/ns/${space}`)]),
    ),
    ids: [process.getuid!(), process.getgid!()],
    hostname: hostname(),
    session: Number(text("/proc/self/stat").split(") ")[1].split(" ")[3]),
    capabilities: status.CapBnd,
    filtered: status.Seccomp,
    namespace: Bun.spawnSync(["unshare", "--user", "true"]).exitCode,
    cwd: process.cwd(),
    key: process.env.KEY ?? null,
    read_only: mounts.filter((words: string[]) => words[5].split(",").includes("ro")).map((words: string[]) => words[4]),
    made: Object.fromEntries(["/x", "/dev/x", "/dev/shm/x", "/tmp/x", "/app/x", "/extra/x"].map((path) => [path, made(path)])),
    bytes: { "/tmp": bytes("/tmp"), "/dev/shm": bytes("/dev/shm") },
    there: ["/proc/1", "/dev/null", "/etc/passwd", "/run/steady/mark", "/app/node_modules/mark", "/shown/mark"].filter(existsSync),
    masked: ["/proc/cmdline", "/proc/interrupts"].map(text),
  }),
);
