// Loaded by the harness when the app throws: where an uncaught error comes from.

const TEXT_CHARS_MAX = 4_096; // a message, a stack, a line of source

type Place = { file?: string; line?: number; column?: number; source?: string };
type Failure = Place & { message: string; name?: string; stack?: string };

// `file` is relative to the app's folder where it lies there; `line` and `column` count from 1.
export function describe(thrown: any): Failure {
  const error = thrown?.errors?.[0] ?? thrown; // several parse errors come as one AggregateError
  const message = cut(error?.message ?? error) ?? "unknown error";
  return { message, name: cut(error?.name), ...relative(locate(error)), stack: cut(error?.stack) };
}

function locate(error: any): Place {
  const position = error?.position;
  if (position?.file)
    return { file: position.file, line: position.line, column: position.column, source: cut(position.lineText) };
  if (error?.referrer) return importing(error.referrer, error.specifier);
  return topFrame(String(error?.stack ?? ""));
}

// A module that does not resolve comes without a position: find the line that names it.
function importing(file: string, specifier: string): Place {
  const lines = linesOf(file);
  const at = lines.findIndex((line) => line.includes(`"${specifier}"`) || line.includes(`'${specifier}'`));
  if (at < 0) return { file };
  return { file, line: at + 1, column: lines[at].indexOf(specifier), source: cut(lines[at]) };
}

// The first frame in the app's own files, else the first in any file.
function topFrame(stack: string): Place {
  const frames = [...stack.matchAll(/\(?(\/[^\n()]*):(\d+):(\d+)\)?$/gm)];
  const outside = frames.filter(([, file]) => !file.startsWith(import.meta.dir));
  const frame = outside.find(([, file]) => !file.includes("/node_modules/")) ?? outside[0];
  if (!frame) return {};
  const [, file, line, column] = frame;
  return { file, line: Number(line), column: Number(column), source: cut(linesOf(file)[Number(line) - 1]) };
}

function relative(place: Place): Place {
  const folder = process.cwd() + "/";
  return place.file?.startsWith(folder) ? { ...place, file: place.file.slice(folder.length) } : place;
}

function linesOf(file: string): string[] {
  try {
    return require("node:fs").readFileSync(file, "utf8").split("\n");
  } catch {
    return []; // a file that cannot be read any more only costs the quoted line
  }
}

function cut(text: unknown): string | undefined {
  return text === undefined || text === null ? undefined : String(text).slice(0, TEXT_CHARS_MAX);
}
