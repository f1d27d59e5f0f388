"""Markup in every text that somebody may write here, as calls of the API and as an app that says it.

`PROBE` breaks out of texts, attributes, comments, scripts and templates, and into an element and an attribute that are
like nothing of ours. What runs sets `window.xss`.
"""

from __future__ import annotations

import html.parser
from dataclasses import dataclass, field
from typing import Any

NAME = "nasty"
PROBE = "'\"></textarea></title></style></script>--><xss-probe xss-x=1><img src=x onerror=xss=1 xss-y=1>{{xss}}`${xss}"
SHORT = "'\"><img src=x onerror=xss=1 xss-y>"
"""For where 40 characters fit."""
HREF = "javascript:xss=1//"
FILE = "'\"><img src=x onerror=xss=1 xss-y>.txt"
QUOTED = PROBE.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
SOURCE = f"""
import {{ Database }} from "bun:sqlite";
const probe = `{QUOTED}`;
const db = new Database("data.sqlite");
const quoted = '"' + probe.replaceAll('"', '""') + '"';
db.run(`CREATE TABLE IF NOT EXISTS ${{quoted}} (id INTEGER PRIMARY KEY, ${{quoted}} TEXT)`);
if (!db.query(`SELECT 1 FROM ${{quoted}}`).get()) db.run(`INSERT INTO ${{quoted}} VALUES (1, ?)`, [probe]);
console.log(probe);
console.error(`\\u001b[31m${{probe}}\\u001b[0m`);
export default {{
  fetch(request: Request) {{
    console.log(request.url, request.headers.get("user-agent"));
    if (new URL(request.url).pathname === "/die") {{ console.error(probe); process.exit(3); }}
    return new Response(probe, {{ status: 404, headers: {{ "content-type": "text/plain", "x-probe": {SHORT!r} }} }});
  }},
}};
"""
MANIFEST = '{"crons": [{"schedule": "@yearly", "path": "/tick?' + SHORT.replace('"', '\\"').replace(" ", "") + '"}]}'

Call = tuple[str, str, Any, tuple[int, ...]]
"""Method, path below /api, JSON body, statuses that may come of it: some texts are refused, and told again."""

CALLS: tuple[Call, ...] = (
    ("POST", "/apps", {"name": NAME, "files": {"index.ts": SOURCE, FILE: PROBE}, "message": PROBE}, (201,)),
    (
        "POST",
        f"/apps/{NAME}/deploys",
        {"merge": True, "files": {"more.ts": PROBE}, "message": PROBE, "trial": False},
        (201,),
    ),
    ("POST", f"/apps/{NAME}/deploys", {"merge": True, "files": {"index.ts": PROBE}}, (422,)),
    ("PATCH", f"/apps/{NAME}/env", {"PLAIN": {"value": PROBE, "secret": False}, "HIDDEN": PROBE}, (200,)),
    ("PATCH", f"/apps/{NAME}/env", {PROBE: "x"}, (422,)),
    ("PATCH", f"/apps/{NAME}/settings", {"notify": f"https://example.com/{SHORT}"}, (200, 422)),
    ("PATCH", f"/apps/{NAME}/settings", {"visibility": "public"}, (200,)),
    ("POST", f"/apps/{NAME}/backups", {"note": PROBE[:100]}, (201, 422, 503, 500)),
    ("PUT", f"/apps/{NAME}/crons/tick", {"schedule": "@yearly", "path": f"/{SHORT}"}, (200, 201, 422)),
    ("POST", f"/apps/{NAME}/databases/data.sqlite/query", {"sql": f"SELECT '{SHORT[2:]}'"}, (200,)),
    ("POST", f"/apps/{NAME}/rename", {"name": PROBE}, (422,)),
    ("POST", "/tokens", {"label": SHORT}, (201,)),
    ("POST", "/users/invitations", {"note": SHORT}, (201, 422)),
    ("POST", f"/apps/{NAME}/try", {"path": f"/{SHORT}", "headers": [["x-probe", "x"]]}, (200, 422)),
)


@dataclass
class Form:
    action: str
    fields: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name → type and value."""


class Page(html.parser.HTMLParser):
    """A page as a browser reads it: what of it came from a probe, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.complaints: list[str] = []
        self.links: set[str] = set()
        self.forms: list[Form] = []
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self._within = tag
        if tag.startswith("xss") or any(name.startswith(("xss", "on")) for name in found):
            self.complaints.append(self.get_starttag_text() or tag)
        for name in ("href", "src", "action", "formaction", "data"):
            if found.get(name, "").strip().lower().startswith(("javascript:", "data:text", "vbscript:")):
                self.complaints.append(f"{tag} {name}={found[name]}")
        if tag == "a" and found.get("href", "").startswith("/"):
            self.links.add(found["href"].partition("#")[0])
        if tag == "form" and found.get("method", "get").lower() == "post":
            self.forms.append(Form(found.get("action", "")))
        if tag in ("input", "textarea", "select", "button") and self.forms and found.get("name"):
            self.forms[-1].fields[found["name"]] = (found.get("type", tag), found.get("value", ""))

    def handle_data(self, data: str) -> None:
        if self._within == "script" and data.strip():
            self.complaints.append(f"an inline script: {data[:100]}")
        if self._within == "style" and "xss" in data:
            self.complaints.append(f"a style: {data[:100]}")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_comment(self, data: str) -> None:
        if "xss" in data:
            self.complaints.append(f"a comment: {data[:100]}")
