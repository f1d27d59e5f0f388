// Makes dist/ from src/ and style/: what browsers are sent. Every file directly in src/ is one that a page may load;
// what several of them share becomes a chunk with its content in its name. Each is stored compressed beside itself, since
// the daemon compresses nothing while it answers.
//
//   bun build.ts

import { readdir, rm } from "node:fs/promises";
import { basename } from "node:path";
import { typeFiles } from "./types";

const DIST = `${import.meta.dir}/dist`;

async function entries(folder: string, kind: RegExp): Promise<string[]> {
  const names = await readdir(`${import.meta.dir}/${folder}`);
  return names.filter((name) => kind.test(name) && !name.includes(".test.")).map((name) => `${import.meta.dir}/${folder}/${name}`);
}

await rm(DIST, { recursive: true, force: true });
const built = await Bun.build({
  entrypoints: await entries("src", /\.ts$/),
  target: "browser",
  minify: true,
  splitting: true,
  naming: { entry: "[name].[ext]", chunk: "chunk-[hash].[ext]" },
});
// Seven megabytes of text that every browser takes compressed: kept in that form only.
await Bun.write(`${DIST}/types.json.gz`, Bun.gzipSync(JSON.stringify(typeFiles()), { level: 9 }));
// The style comes last: whoever asks whether dist/ is there asks for it.
const styled = await Bun.build({ entrypoints: [`${import.meta.dir}/style/steady.css`], minify: true });
for (const output of [...built.outputs, ...styled.outputs]) {
  const name = basename(output.path);
  const content = new Uint8Array(await output.arrayBuffer());
  await Bun.write(`${DIST}/${name}.gz`, Bun.gzipSync(content, { level: 9 }));
  await Bun.write(`${DIST}/${name}`, content);
}
