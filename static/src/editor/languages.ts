// Which language a file is in, by its name. Each comes when the first file in it is opened.

import type { Extension } from "@codemirror/state";

type Load = () => Promise<Extension>;

const script = (options: { jsx?: boolean; typescript?: boolean }): Load => async () =>
  (await import("@codemirror/lang-javascript")).javascript(options);

const BY_SUFFIX: Record<string, Load> = {
  ts: script({ typescript: true }), mts: script({ typescript: true }), cts: script({ typescript: true }),
  tsx: script({ typescript: true, jsx: true }),
  js: script({ jsx: true }), mjs: script({ jsx: true }), cjs: script({ jsx: true }), jsx: script({ jsx: true }),
  json: async () => (await import("@codemirror/lang-json")).json(),
  jsonc: async () => (await import("@codemirror/lang-json")).json(),
  css: async () => (await import("@codemirror/lang-css")).css(),
  html: async () => (await import("@codemirror/lang-html")).html(),
  htm: async () => (await import("@codemirror/lang-html")).html(),
  svg: async () => (await import("@codemirror/lang-html")).html(),
  md: async () => (await import("@codemirror/lang-markdown")).markdown(),
};

/** The end of a file's name after its last dot, in lower case; "" without one. */
export function suffix(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(dot + 1).toLowerCase() : "";
}

/** The extension that colours and indents a file's language; nothing for plain text. */
export async function language(path: string): Promise<Extension> {
  return (await BY_SUFFIX[suffix(path)]?.()) ?? [];
}

/** Whether TypeScript's own checker understands the file. */
export const isScript = (path: string): boolean => /^[mc]?[tj]sx?$/.test(suffix(path));
