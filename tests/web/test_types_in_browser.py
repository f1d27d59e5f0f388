"""TypeScript in the editor and two changes of one draft, in a real browser against a real daemon."""

from __future__ import annotations

import pytest

from tests.served import Daemon
from tests.web.test_browser import CHROMIUM, Browser, Page, control, log_in, opened
from tests.web.test_browser import chromium as chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)"),
]

WORDS = "export const greet = (name: string) => `hello ${name}`;\n"
INDEX = """import { greet } from "./lib/words";
export default { fetch: () => new Response(greet("you")) };
"""
LINES = "\n".join(f"// line {number}" for number in range(20))
HONO = """import { Hono } from "hono";
const app = new Hono();
app.get("/", (context) => context.text("hello"));
export default app;
"""


def retype(page: Page, path: str, text: str) -> None:
    """Open a file and put another text into it, as keys do."""
    page.locator(f'.tree [data-path="{path}"]').click()
    page.get_by_label(f"Text of {path}").click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.insert_text(text)


def ready(page: Page) -> None:
    page.locator('.ts-status[data-state="ready"]').wait_for()


def test_a_mistake_that_another_file_causes_is_shown_and_goes(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("typed", {"index.ts": INDEX, "lib/words.ts": WORDS})
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(f"{control(daemon)}/apps/typed")
        ready(page)
        retype(page, "lib/words.ts", WORDS.replace("string", "number"))
        page.locator(".ts-count", has_text="1 problem").wait_for()
        page.locator('.tree [data-path="index.ts"] .mistakes').wait_for()
        page.locator(".ts-status summary").click()
        page.get_by_role("button", name="index.ts:2 Argument of type 'string' is not assignable").click()
        page.locator(".cm-lintRange-error").wait_for()

        page.keyboard.press("Control+Home")
        for _ in range(len("import { g")):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("F12")
        page.get_by_label("Text of lib/words.ts").wait_for()
        retype(page, "lib/words.ts", WORDS)
        page.wait_for_function("() => !document.querySelector('.ts-count').textContent")

        retype(page, "index.ts", INDEX + 'import left from "left-pad";\nBun.se')
        page.keyboard.type("r")
        page.locator(".cm-tooltip-autocomplete li", has_text="serve").wait_for()
        page.locator(".ts-list .info", has_text="“left-pad” is installed when you deploy.").wait_for(state="attached")


def test_two_changes_of_one_draft(daemon: Daemon, chromium: Browser) -> None:
    """Somebody else deploys meanwhile: what goes together is joined, one file is theirs, one is mine."""
    before = {"index.ts": f"{LINES}\n{INDEX}", "lib/words.ts": WORDS, "a.txt": "one\n", "b.txt": "one\n"}
    daemon.create("joint", before)
    theirs = {"a.txt": "theirs\n", "b.txt": "theirs\n", "index.ts": f"// theirs\n{before['index.ts']}"}
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(f"{control(daemon)}/apps/joint")
        retype(page, "a.txt", "mine\n")
        retype(page, "b.txt", "mine\n")
        retype(page, "index.ts", before["index.ts"] + "// mine\n")
        made = daemon.api("POST", "/apps/joint/deploys", json={"merge": True, "files": theirs})
        assert made.status_code == 201
        page.get_by_role("button", name="Join the two").click()
        dialog = page.get_by_role("dialog", name="Version 2 went live meanwhile")
        dialog.wait_for()
        assert dialog.get_by_role("button", name="2 files to decide").is_disabled()
        dialog.get_by_role("button", name="Take theirs").click()
        dialog.get_by_label("b.txt, the draft").wait_for()
        dialog.get_by_role("button", name="Keep mine").press("Enter")
        dialog.get_by_role("button", name="Use this draft").press("Enter")
        dialog.wait_for(state="detached")
        page.get_by_text("Lines of both are joined in index.ts.").wait_for()
        page.keyboard.press("Control+s")
        page.get_by_text("Version 3 is live after").wait_for()
    files = {path: daemon.api("GET", f"/apps/joint/versions/3/files/{path}").text for path in before}
    joined = f"// theirs\n{before['index.ts']}// mine\n"
    assert files == {**before, "index.ts": joined, "a.txt": "theirs\n", "b.txt": "mine\n"}


@pytest.mark.network
def test_an_installed_package_has_its_types(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("honoured", {"index.ts": HONO})
    files = daemon.api("GET", "/apps/honoured/versions/1/types").json()["files"]
    assert "node_modules/hono/dist/types/index.d.ts" in files
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(f"{control(daemon)}/apps/honoured")
        ready(page)
        retype(page, "index.ts", HONO.replace("context.text", "context.tex"))
        page.locator(".ts-list", has_text="Property 'tex' does not exist on type 'Context").wait_for(state="attached")
