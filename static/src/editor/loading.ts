// Files of a version, from the server: those that the page did not bring along.

import { ApiError, call, inPath, ofApp } from "../lib/api";
import type { Content } from "../lib/desk";
import { contentOf } from "./dropped";
import type { Absent, Held } from "./workspace";

/** Files that are asked for at once; a browser has six connections to a host. */
const AT_ONCE = 4;

/** One file as it was shipped. Throws ApiError. */
export async function load(app: string, absent: Absent): Promise<Content> {
  const address = `/api${ofApp(absent.of ?? app, `/versions/${absent.version}/files/${inPath(absent.from)}`)}`;
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) throw new ApiError(answer?.status ?? 0, "unreachable", `“${absent.from}” of version ${absent.version} could not be loaded. Try again.`);
  return contentOf(new Uint8Array(await answer.arrayBuffer()));
}

/** Every file of a version, not loaded. Throws ApiError. */
export async function listed(app: string, version: number): Promise<Map<string, Absent>> {
  const answer = await call<{ files: { path: string; size: number }[] }>("GET", ofApp(app, `/versions/${version}/files`));
  return new Map(answer.files.map(({ path, size }) => [path, { from: path, version, size }]));
}

/** All of `held` with nothing absent any more. Throws ApiError. */
export async function loaded(app: string, held: ReadonlyMap<string, Held>): Promise<Record<string, Content>> {
  const files: Record<string, Content> = {};
  const left = [...held];
  const work = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const [path, content] = next;
      files[path] = typeof content === "object" && "from" in content ? await load(app, content) : content;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return files;
}
