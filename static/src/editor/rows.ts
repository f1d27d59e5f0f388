// The files of a draft as rows of a tree: folders first, each above what is in it. Pure.

export interface Row { path: string; depth: number; isFolder: boolean }

/** The rows of `paths`; what is in a folder of `closed` is left out. */
export function rowsOf(paths: string[], closed: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const walk = (prefix: string, inside: string[], depth: number) => {
    const folders = Map.groupBy(inside.filter((path) => path.includes("/", prefix.length)), (path) => path.slice(0, path.indexOf("/", prefix.length)));
    for (const [folder, within] of [...folders].sort(([a], [b]) => (a < b ? -1 : 1))) {
      rows.push({ path: folder, depth, isFolder: true });
      if (!closed.has(folder)) walk(`${folder}/`, within, depth + 1);
    }
    for (const path of inside.filter((path) => !path.includes("/", prefix.length)).sort()) rows.push({ path, depth, isFolder: false });
  };
  walk("", paths, 0);
  return rows;
}
