// Values on their way between SQLite and JSON, so that what comes back is what went.
//
// In a result: an integer that JSON's readers would round is a text, and so is an infinity; a BLOB is {"base64"}.
// In a row that can be edited, exactly: {"integer"} for such an integer, {"real"} for a REAL that JSON would show as an
// integer, {"text"} (Base64) for a TEXT that is not UTF-8. What is cut says how long it is: {"base64", "bytes"} for a BLOB,
// {"head", "bytes"} for a TEXT.

export type Special = { base64?: string; integer?: string; real?: string; text?: string; head?: string; bytes?: number };
export type Value = null | number | string | Special;
export type Held = null | bigint | number | string | Uint8Array | BadText; // as SQLite holds it: a number is a REAL

// A TEXT whose bytes are not UTF-8: JavaScript's strings cannot hold it.
export class BadText {
  constructor(readonly bytes: Uint8Array) {}
}

export function given(value: Value): Held {
  if (value === null || typeof value === "string") return value;
  if (typeof value === "number") return Number.isInteger(value) ? BigInt(value) : value;
  if (value.integer !== undefined) return BigInt(value.integer);
  if (value.real !== undefined) return Number(value.real);
  if (value.text !== undefined) return new BadText(Buffer.from(value.text, "base64"));
  return Buffer.from(value.base64 ?? "", "base64");
}

// As it is shown in a result.
export function shown(value: any): Value {
  if (typeof value === "bigint") return isExact(value) ? Number(value) : String(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (value instanceof Uint8Array) return { base64: base64(value) };
  return value;
}

// As it can be sent again. `real`: it is of a column that makes a REAL of every number.
export function exact(value: Held, real: boolean, bytes = Infinity): Value {
  if (value === null) return null;
  if (typeof value === "bigint") return isExact(value) ? Number(value) : { integer: String(value) };
  if (typeof value === "number") {
    const kept = Number.isFinite(value) && !Object.is(value, -0) && (!Number.isInteger(value) || (real && Math.abs(value) < 2 ** 53));
    return kept ? value : { real: realText(value) };
  }
  if (value instanceof BadText) return { text: base64(value.bytes) };
  if (value instanceof Uint8Array)
    return value.length > bytes ? { base64: base64(value.subarray(0, bytes)), bytes: value.length } : { base64: base64(value) };
  if (value.length * 3 <= bytes) return value;
  const whole = Buffer.byteLength(value);
  return whole > bytes ? { head: headOf(value, bytes), bytes: whole } : value;
}

// A REAL in digits that give the same number again, and that say that it is one.
export function realText(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

// Whether two values are the same to the bit, of one type.
export function same(a: Held, b: Held): boolean {
  return tagged(a) === tagged(b);
}

// How a value stands in SQL, and what is bound there.
export function place(value: Held): string {
  return value instanceof BadText ? "CAST(? AS TEXT)" : "?";
}

export function bound(value: Held): any {
  return value instanceof BadText ? value.bytes : value;
}

function tagged(value: Held): string {
  if (value === null) return "null";
  if (value instanceof BadText) return `t:${base64(value.bytes)}`;
  if (value instanceof Uint8Array) return `b:${base64(value)}`;
  if (typeof value === "number") return `r:${realText(value)}`;
  return typeof value === "bigint" ? `i:${value}` : `s:${value}`;
}

// The first bytes, without a broken character at their end.
function headOf(text: string, bytes: number): string {
  return Buffer.from(text.slice(0, bytes)).subarray(0, bytes).toString().replace(/\uFFFD+$/, "");
}

function isExact(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}
