// How well what was typed fits a name: its letters in order, better where they are together or begin a word. Pure.

/** How many results are shown. */
export const RESULTS_MAX = 30;

/** Higher is better; null where the letters are not there in order. */
export function fit(typed: string, name: string): number | null {
  const wanted = typed.toLowerCase().replace(/\s+/g, "");
  const text = name.toLowerCase();
  let score = 0;
  let at = -1;
  for (const letter of wanted) {
    const next = text.indexOf(letter, at + 1);
    if (next < 0) return null;
    const begins = next === 0 || !/[a-z0-9]/.test(text[next - 1]!);
    score += next === at + 1 ? 3 : begins ? 2 : 0;
    at = next;
  }
  const whole = text.indexOf(wanted);
  if (whole >= 0) score += 10 + (whole === 0 || !/[a-z0-9]/.test(text[whole - 1]!) ? 5 : 0);
  return score - text.length / 100;
}

/** Those that fit, the best first. */
export function best<T>(typed: string, items: readonly T[], name: (item: T) => string): T[] {
  return items
    .map((item, order) => ({ item, order, score: fit(typed, name(item)) }))
    .filter((found): found is { item: T; order: number; score: number } => found.score !== null)
    .sort((a, b) => (typed.trim() ? b.score - a.score : 0) || a.order - b.order)
    .slice(0, RESULTS_MAX)
    .map(({ item }) => item);
}
