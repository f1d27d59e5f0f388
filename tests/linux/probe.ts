// Makes the system calls it is asked for and prints the error number of each (0: none); test_seccomp.py judges.
// CALLS is `[[number, argument, argument], ...]`; INT80 is a number to be asked for the 32-bit way as well.
import { CFunction, dlopen, read, toArrayBuffer } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64" },
  mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
  __errno_location: { args: [], returns: "ptr" },
});
const errno = libc.__errno_location();

function answer(number: number, first = 0, second = 0): number {
  const result = libc.syscall(number, first, second, 0, 0, 0, 0);
  return Number(result) === -1 ? read.i32(errno!, 0) : 0;
}

function answer32(number: number): number {
  const [page, all, private_anonymous] = [4096, 7, 0x22];
  const place = libc.mmap(null, page, all, private_anonymous, -1, 0)!;
  // mov eax, number; int 0x80; ret. A 32-bit call tells its error as a negative result.
  new Uint8Array(toArrayBuffer(place, 0, 16)).set([0xb8, number, 0, 0, 0, 0xcd, 0x80, 0xc3]);
  const result = CFunction({ ptr: place, args: [], returns: "i32" })();
  return result < 0 ? -result : 0;
}

const calls: number[][] = JSON.parse(process.env.CALLS!);
const int80 = process.env.INT80 ? answer32(Number(process.env.INT80)) : null;
console.log(JSON.stringify({ answers: calls.map(([number, ...rest]) => answer(number, ...rest)), int80 }));
