// Which names a `.env` text sets, to show them while it is typed. The server reads it for good (steadyd/envfile.py).

const LINE = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/;

/** Names in order, each once. A quote that goes on over several lines hides what is in it. */
export function names(text: string): string[] {
  const found = new Set<string>();
  let open = "";
  for (const line of text.replace(/^\ufeff/, "").split(/\r?\n/)) {
    if (open) {
      if (line.includes(open)) open = "";
      continue;
    }
    const match = LINE.exec(line);
    if (!match) continue;
    found.add(match[1]!);
    const quote = /^["'`]/.exec(match[2]!)?.[0];
    if (quote && !match[2]!.slice(1).includes(quote)) open = quote;
  }
  return [...found];
}

/** Whether a name says by itself that its value is a secret, as steadyd/variables.py says it. */
export function isSecret(name: string): boolean {
  return !/^(BUN_)?PUBLIC_/i.test(name) && /SECRET|KEY|TOKEN|PRIVATE|PASSWORD/i.test(name);
}
