// What the description's curl lines say, and which calls a search finds.

const NAME = /^[a-z0-9-]+$/;
const TOKEN = /^[\w.-]+$/;

/** A line with an app and a token in their places; what is not one of ours leaves the place as it was. */
export function filled(line: string, name: string, token: string): string {
  const named = NAME.test(name) ? line.replace(/(\/apps\/|"name": ")NAME\b/g, `$1${name}`) : line;
  return TOKEN.test(token) ? named.replace("Bearer TOKEN", `Bearer ${token}`) : named;
}

/** Whether a text has every word that is searched for. */
export function says(text: string, words: string): boolean {
  const low = text.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => low.includes(word));
}
