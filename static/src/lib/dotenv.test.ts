import { expect, test } from "bun:test";
import { isSecret, names } from "./dotenv";

test("names of a .env, each once, in order", () => {
  expect(names("A=1\n# B=2\nexport C = 3\r\nA=4\nnothing\n9X=1\n")).toEqual(["A", "C"]);
});

test("a quote over several lines hides what is in it", () => {
  expect(names("A='x\nB=1\n'\nC=\"y\"\nD=`z\nE=\n`\nF=")).toEqual(["A", "C", "D", "F"]);
});

test("names that are secret by themselves", () => {
  expect(["API_KEY", "db_password", "PUBLIC_KEY", "BUN_PUBLIC_TOKEN", "GREETING"].map(isSecret)).toEqual([true, true, false, false, false]);
});
