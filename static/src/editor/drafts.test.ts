import { expect, test } from "bun:test";
import { DRAFT_CHARS_MAX, Drafts, DRAFTS_MAX, type Shelf, tabName } from "./drafts";
import type { Draft } from "./workspace";

class Memory implements Shelf {
  private items = new Map<string, string>();
  constructor(private most = Infinity) {}
  get length(): number {
    return this.items.size;
  }
  key = (at: number) => [...this.items.keys()][at] ?? null;
  getItem = (key: string) => this.items.get(key) ?? null;
  removeItem = (key: string) => void this.items.delete(key);
  setItem(key: string, value: string): void {
    const others = [...this.items].filter(([other]) => other !== key).reduce((sum, [, text]) => sum + text.length, 0);
    if (others + value.length > this.most) throw new Error("QuotaExceededError");
    this.items.set(key, value);
  }
}

const draft = (changes: Draft["changes"]): Draft => ({ version: 3, changes, open: ["index.ts"], active: "index.ts" });

test("a draft is there again, and gone once nothing differs", () => {
  const drafts = new Drafts(new Memory());
  expect(drafts.keep("shop", "a", draft({ "index.ts": "new", "old.ts": null }), 5)).toEqual([]);
  expect(drafts.of("shop")).toEqual([
    { tab: "a", draft: { ...draft({ "index.ts": "new", "old.ts": null }), app: "shop", at: 5, left: [] } },
  ]);
  expect(drafts.of("sho")).toEqual([]);
  drafts.keep("shop", "a", draft({}), 6);
  expect(drafts.of("shop")).toEqual([]);
});

test("two tabs of one app keep theirs, the newest first", () => {
  const drafts = new Drafts(new Memory());
  drafts.keep("shop", "a", draft({ "index.ts": "a" }), 1);
  drafts.keep("shop", "b", draft({ "index.ts": "b" }), 2);
  drafts.drop("shop", "c");
  expect(drafts.of("shop").map(({ tab }) => tab)).toEqual(["b", "a"]);
});

test("of too large a draft the largest files are left out, and named", () => {
  const drafts = new Drafts(new Memory());
  const large = { "big.ts": "x".repeat(DRAFT_CHARS_MAX), "index.ts": "small" };
  expect(drafts.keep("shop", "a", draft(large), 1)).toEqual(["big.ts"]);
  expect(drafts.of("shop")[0]!.draft.changes).toEqual({ "index.ts": "small" });
});

test("of too many drafts the oldest goes", () => {
  const drafts = new Drafts(new Memory());
  for (let at = 0; at <= DRAFTS_MAX; at++) drafts.keep(`app${at}`, "a", draft({ "index.ts": `${at}` }), at);
  expect(drafts.of("app0")).toEqual([]);
  expect(drafts.of("app1").length).toBe(1);
});

test("where the browser is full older drafts make room, and if that is not enough it is said", () => {
  const shelf = new Memory(400);
  const drafts = new Drafts(shelf);
  drafts.keep("old", "a", draft({ "index.ts": "x".repeat(200) }), 1);
  expect(drafts.keep("new", "a", draft({ "index.ts": "y".repeat(200) }), 2)).toEqual([]);
  expect([drafts.of("old").length, drafts.of("new").length]).toEqual([0, 1]);
  expect(drafts.keep("new", "a", draft({ "index.ts": "y".repeat(900) }), 3)).toBeNull();
});

test("what is broken in the storage is no draft", () => {
  const shelf = new Memory();
  shelf.setItem("steadyd.draft.shop.a", "{");
  shelf.setItem("steadyd.draft.shop.b", '{"at": 1}');
  expect(new Drafts(shelf).of("shop")).toEqual([]);
});

test("a tab keeps its name, and a duplicate of it gets another", async () => {
  const session = new Memory();
  const held = new Set<string>();
  const locks = {
    request: (name: string, _options: unknown, then: (lock: object | null) => unknown) => {
      const free = !held.has(name);
      held.add(name);
      return Promise.resolve(then(free ? {} : null));
    },
  } as unknown as LockManager;
  const first = await tabName(session, locks);
  expect(await tabName(session, undefined)).toBe(first);
  expect(await tabName(session, locks)).not.toBe(first);
});
