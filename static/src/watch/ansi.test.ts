import { expect, test } from "bun:test";
import { lastState, nearest, spans } from "./ansi";

const ESC = "\u001b";

test("colours become classes, and end where they are ended", () => {
  expect(spans(`a ${ESC}[31mred${ESC}[0m b`)).toEqual([
    { text: "a ", classes: "" },
    { text: "red", classes: "ink-red" },
    { text: " b", classes: "" },
  ]);
  expect(spans(`${ESC}[1;4;92;41mx${ESC}[22my${ESC}[39;49;24mz`)).toEqual([
    { text: "x", classes: "bold underlined ink-bright-green ground-red" },
    { text: "y", classes: "underlined ink-bright-green ground-red" },
    { text: "z", classes: "" },
  ]);
  expect(spans(`${ESC}[35mx${ESC}[my`).at(-1)).toEqual({ text: "y", classes: "" });
});

test("256 and 16 million colours become the nearest of sixteen", () => {
  expect(spans(`${ESC}[38;5;196mx`)[0]!.classes).toBe("ink-bright-red");
  expect(spans(`${ESC}[48;2;0;0;255;1mx`)[0]!.classes).toBe("bold ground-bright-blue");
  expect(spans(`${ESC}[38:5:2mx`)[0]!.classes).toBe("ink-green");
  expect([0, 9, 16, 22, 231, 232, 244, 255].map(nearest)).toEqual([
    "black", "bright-red", "black", "green", "bright-white", "black", "bright-black", "bright-white",
  ]);
});

test("other sequences are shown, not obeyed", () => {
  expect(spans(`${ESC}[2J${ESC}]52;c;evil\u0007`)).toEqual([{ text: "\\u001b[2J\\u001b]52;c;evil\\u0007", classes: "" }]);
  expect(spans("<b>&\u202e")).toEqual([{ text: "<b>&\\u202e", classes: "" }]);
});

test("of what overwrote itself the last state is left", () => {
  expect([lastState("1%\r50%\r100%"), lastState("done\r"), lastState("\r\r"), lastState("plain")]).toEqual(["100%", "done", "", "plain"]);
  expect(spans("")).toEqual([]);
});

test("broken parameters do no harm", () => {
  for (const odd of ["38", "38;5", "38;2;1", "48;5;999", ";;;", "999", "38;5;-1"]) expect(spans(`${ESC}[${odd}mx`).map((span) => span.text).join("")).toContain("x");
});
