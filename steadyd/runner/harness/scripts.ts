// Run in the build sandbox: the lifecycle scripts of one installed package, one after the other, as npm runs them.
//
//   bun --no-install scripts.ts SOCKET CERTIFICATES ROOT FOLDER      SOCKET and CERTIFICATES: see door.ts
//
// FOLDER is the package's, below ROOT/node_modules. The first line is {"scripts": [names]}, said before any of them
// could say something else. Ends with the exit code of the first that fails.

import { mkdtempSync, readFileSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDoor, type Environ } from "./door.ts";

const STAGES = ["preinstall", "install", "postinstall"];

const [socket, certificates, root, folder] = process.argv.slice(2);
const described = read(join(folder, "package.json"));
const named = STAGES.filter((stage) => typeof described.scripts?.[stage] === "string");
console.log(JSON.stringify({ scripts: named }));
if (named.length) await run();
process.exit(0);

async function run(): Promise<void> {
  const env = { ...(await openDoor(socket, certificates)), ...surroundings() };
  for (const stage of named) {
    const command = described.scripts[stage];
    console.log(`${described.name} ${stage}: ${command}`);
    const words = ["/bin/sh", "-c", command];
    const script = Bun.spawn(words, {
      cwd: folder,
      env: { ...env, npm_lifecycle_event: stage, npm_lifecycle_script: command },
      stdio: ["ignore", "inherit", "inherit"],
    });
    const code = await script.exited;
    if (code) process.exit(code);
  }
}

// What npm's scripts count on. Their `node` is Bun, on every host, as it is when the app runs.
function surroundings(): Environ {
  const programs = mkdtempSync(join(tmpdir(), "programs-"));
  for (const name of ["bun", "node"]) symlinkSync(process.execPath, join(programs, name));
  const bins = [programs, join(folder, "node_modules", ".bin"), join(root, "node_modules", ".bin")];
  return {
    PATH: [...bins, process.env.PATH].join(":"),
    INIT_CWD: root,
    npm_package_name: described.name,
    npm_package_version: described.version,
  };
}

// A package that this machine has no use for was not installed, and has none.
function read(path: string): any {
  try {
    return JSON.parse(readFileSync(path, "utf8")) ?? {};
  } catch {
    return {};
  }
}
