// Makes system calls of random numbers with random arguments until it is killed. argv: seed, then numbers to leave out.
import { dlopen, ptr } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64" },
});
const [seed, ...left] = process.argv.slice(2).map(Number);
const buffer = new Uint8Array(65536);
const place = ptr(buffer);
let state = seed! | 1;

function random(below: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}

function argument(): number | bigint {
  const kinds = [0, 1, 2, random(16), random(1 << 16), -1, -100, 0x7fffffff, place, place + random(60000), 1n << BigInt(random(63))];
  return kinds[random(kinds.length)]!;
}

for (;;) {
  const number = random(480);
  if (left.includes(number)) continue;
  for (let n = 0; n < 8; n++) buffer[random(buffer.length)] = random(256);
  libc.syscall(number, ...(Array.from({ length: 6 }, argument) as [number, number, number, number, number, number]));
}
