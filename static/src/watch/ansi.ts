// A line as a terminal would leave it: its colours as classes, of what overwrote itself the last state, and every other
// sequence shown, not obeyed.

import { plain } from "../lib/shown";

/** Text of one look. `classes` are names of watch.css, with a space between; "" for none. */
export interface Span { text: string; classes: string }

const SGR = /\u001b\[([0-9;:]*)m/g;
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const MODES: Record<number, string> = { 1: "bold", 2: "faint", 3: "italic", 4: "underlined", 7: "inverse", 9: "struck" };

/** The spans of a line. Colours do not go on into the next line. */
export function spans(text: string): Span[] {
  const shown = lastState(text);
  if (!shown.includes("\u001b[")) return shown ? [{ text: plain(shown), classes: "" }] : [];
  const found: Span[] = [];
  let look = new Look();
  let at = 0;
  const add = (piece: string) => {
    if (piece) found.push({ text: plain(piece), classes: look.classes() });
  };
  for (const match of shown.matchAll(SGR)) {
    add(shown.slice(at, match.index));
    look = look.after(match[1]!);
    at = match.index + match[0].length;
  }
  add(shown.slice(at));
  return found;
}

/** What is left of a line that overwrote itself with carriage returns. */
export function lastState(text: string): string {
  if (!text.includes("\r")) return text;
  return text.split("\r").findLast((part) => part !== "") ?? "";
}

/** The name of a colour of the 256 that is nearest to one of the sixteen (xterm's cube and its greys). */
export function nearest(number: number): string {
  if (number < 16) return (number > 7 ? "bright-" : "") + NAMES[number % 8];
  if (number >= 232) return number < 238 ? "black" : number < 246 ? "bright-black" : number < 252 ? "white" : "bright-white";
  const cube = number - 16;
  const levels = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6];
  const most = Math.max(...levels);
  if (most === 0) return "black";
  const bits = levels.reduce((sum, level, place) => sum + (level > most / 2 ? 1 << place : 0), 0);
  return (most > (bits === 7 ? 4 : 3) ? "bright-" : "") + NAMES[bits];
}

// How text looks at one place.
class Look {
  constructor(
    private readonly modes: ReadonlySet<string> = new Set(),
    private readonly ink = "",
    private readonly ground = "",
  ) {}

  classes(): string {
    return [...this.modes, this.ink && `ink-${this.ink}`, this.ground && `ground-${this.ground}`].filter(Boolean).join(" ");
  }

  // Parameters: ECMA-48, 8.3.117, with the 256 and 16 million colours of xterm.
  after(parameters: string): Look {
    const codes = parameters.split(/[;:]/).map(Number);
    const modes = new Set(this.modes);
    let { ink, ground } = this;
    for (let at = 0; at < codes.length; at++) {
      const code = codes[at]!;
      if (code === 0) [ink, ground] = (modes.clear(), ["", ""]);
      else if (MODES[code]) modes.add(MODES[code]);
      else if (code === 22) ["bold", "faint"].forEach((mode) => modes.delete(mode));
      else if (code > 22 && code < 30) modes.delete(MODES[code - 20] ?? "");
      else if (code === 39) ink = "";
      else if (code === 49) ground = "";
      else if (code === 38 || code === 48) {
        const [colour, used] = extended(codes, at + 1);
        if (code === 38) ink = colour;
        else ground = colour;
        at += used;
      } else if (code >= 30 && code < 38) ink = NAMES[code - 30]!;
      else if (code >= 40 && code < 48) ground = NAMES[code - 40]!;
      else if (code >= 90 && code < 98) ink = `bright-${NAMES[code - 90]}`;
      else if (code >= 100 && code < 108) ground = `bright-${NAMES[code - 100]}`;
    }
    return new Look(modes, ink, ground);
  }
}

// A colour of the 256, or one in red, green and blue; and how many parameters it took.
function extended(codes: number[], at: number): [string, number] {
  if (codes[at] === 5) return [nearest(Math.min(255, Math.max(0, codes[at + 1] ?? 0))), 2];
  if (codes[at] !== 2) return ["", 0];
  const [red, green, blue] = codes.slice(at + 1, at + 4).map((level) => Math.round(((level || 0) / 255) * 5));
  return [nearest(16 + 36 * (red ?? 0) + 6 * (green ?? 0) + (blue ?? 0)), 4];
}
