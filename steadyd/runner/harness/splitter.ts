// Where one SQL statement ends and the next begins, in a text that comes piece by piece. A semicolon inside of a trigger's
// body is no end: after CREATE TRIGGER the end is “; END ;”, as in sqlite3_complete() (https://sqlite.org/c3ref/complete.html).

const STATEMENT_BYTES_MAX = 72 << 20; // a value of 32 MiB in hexadecimal digits, and something around it

export type Statement = { sql: string; line: number };

const TOKEN = /\s+|--[^\n]*(?:\n|$)|\/\*[^]*?(?:\*\/|$)|'[^']*(?:''[^']*)*'|"[^"]*(?:""[^"]*)*"|`[^`]*(?:``[^`]*)*`|\[[^\]]*\]|;|[A-Za-z_]\w*|[^]/y;
const GAP = /^(?:\s|--|\/\*)/;

export class Splitter {
  private text = "";
  private line = 1;

  // The statements that `piece` ends; `last`: nothing follows, so the rest is one too, if it says something.
  *push(piece: string, last = false): Generator<Statement> {
    this.text += piece;
    if (this.text.length > STATEMENT_BYTES_MAX) throw new RangeError(`line ${this.line}: the statement has no end`);
    let start = 0;
    let says = false;
    let words: string[] = []; // the first three, which tell a trigger
    let previous = "";
    let ended = false; // “; END” was just read
    TOKEN.lastIndex = 0;
    for (let match; TOKEN.lastIndex < this.text.length && (match = TOKEN.exec(this.text)); ) {
      const token = match[0];
      const at = match.index;
      if (!last && TOKEN.lastIndex === this.text.length && token !== ";") break; // it may go on
      if (GAP.test(token)) {
        if (!says) {
          this.line += lines(token);
          start = TOKEN.lastIndex;
        }
        continue;
      }
      if (!last && (token === "'" || token === '"' || token === "`" || token === "[" || (token === "/" && this.text[at + 1] === "*"))) break;
      if (token === ";" && (!isTrigger(words) || ended)) {
        const sql = this.text.slice(start, at);
        if (says) yield { sql, line: this.line };
        this.line += lines(sql);
        [start, says, words, previous, ended] = [TOKEN.lastIndex, false, [], "", false];
        continue;
      }
      says = true;
      const word = token.toUpperCase();
      ended = previous === ";" && word === "END";
      previous = word;
      if (words.length < 3) words.push(word);
    }
    this.text = this.text.slice(start);
    if (last && says) {
      yield { sql: this.text, line: this.line };
      this.text = "";
    }
  }
}

export function statementsOf(sql: string): Statement[] {
  return [...new Splitter().push(sql, true)];
}

function isTrigger(words: string[]): boolean {
  if (words[0] === "EXPLAIN") words = words.slice(1);
  if (words[0] !== "CREATE") return false;
  return words[1] === "TRIGGER" || (/^TEMP(ORARY)?$/.test(words[1] ?? "") && words[2] === "TRIGGER");
}

function lines(text: string): number {
  let found = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) found++;
  return found;
}
