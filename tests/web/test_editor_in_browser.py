"""The editor in a real browser, against a real daemon: files, drafts, deploys, and all of it by keyboard."""

from __future__ import annotations

import base64
import io
import re
import zipfile

import pytest

from tests.served import Daemon
from tests.web.test_browser import CHROMIUM, Browser, Page, code_of, control, log_in, opened, text_in, write
from tests.web.test_browser import chromium as chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)"),
]

INDEX = """import { word } from "./lib/words";
export default { fetch: () => new Response(word) };
"""
FILES = {"index.ts": INDEX, "lib/words.ts": "export const word = 'one';\n"}
SLOW = "await new Promise((done) => setTimeout(done, 60_000));\n"
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

DROP = """([name, content]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([Uint8Array.from(atob(content), (char) => char.charCodeAt(0))], name));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
}"""


def desk(page: Page, daemon: Daemon, name: str) -> None:
    """Log in and open the app's editor."""
    log_in(page, daemon)
    page.goto(f"{control(daemon)}/apps/{name}")
    code_of(page, "index.ts").wait_for()


def drop(page: Page, name: str, content: bytes) -> None:
    page.evaluate(DROP, [name, base64.b64encode(content).decode()])


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return packed.getvalue()


def leaf(page: Page, path: str) -> Page:
    return page.locator(f'.tree [data-path="{path}"]')


def test_several_files_are_edited_moved_dropped_and_deployed(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("several", FILES | {"lines.txt": "one\r\ntwo\r\n"})
    with opened(chromium) as page:
        desk(page, daemon, "several")
        leaf(page, "lib/words.ts").click()
        write(code_of(page, "lib/words.ts"), "export const word = 'two';\n")
        page.get_by_text("1 file changed").wait_for()

        leaf(page, "lib").focus()
        page.keyboard.press("F2")
        page.keyboard.press("Control+a")
        page.keyboard.type("../up")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("“..”").wait_for()
        page.keyboard.press("Control+a")
        page.keyboard.type("src")
        page.keyboard.press("Enter")
        leaf(page, "src/words.ts").wait_for()
        assert text_in(code_of(page, "src/words.ts")) == "export const word = 'two';\n"
        leaf(page, "index.ts").click()
        write(code_of(page, "index.ts"), INDEX.replace("lib", "src"))

        leaf(page, "lines.txt").click()
        code_of(page, "lines.txt").press("Control+Home")
        page.keyboard.type("zero ")

        files = {"site/index.html": b"<p>hi", "img/dot.gif": PIXEL, ".env": b"A=1", "node_modules/x/x.js": b""}
        drop(page, "more.zip", zipped(files))
        page.get_by_role("status").get_by_text(
            re.compile("2 files are part of the draft now. Left out: .env")
        ).wait_for()
        leaf(page, "img/dot.gif").click()
        page.get_by_role("img", name="The image img/dot.gif").wait_for()

        page.get_by_role("button", name="Deploy", exact=True).click()
        page.get_by_role("status").get_by_text(re.compile(r"Version 2 is live after [\d.]+ ms")).wait_for()
        assert re.search(r"(?s)trial [\d.]+ ms.*switch [\d.]+ ms", page.locator(".outcome").inner_text())
        assert page.locator(".files .dirty").count() == 0
        assert daemon.ask("several").text == "two"
        assert daemon.api("GET", "/apps/several/versions/2/files/lines.txt").content == b"zero one\r\ntwo\r\n"
        listed = daemon.api("GET", "/apps/several/versions/2/files").json()["files"]
        assert {file["path"] for file in listed} >= {"img/dot.gif", "index.ts", "site/index.html", "src/words.ts"}
        assert not any(file["path"].startswith("lib/") for file in listed)
        assert daemon.api("GET", "/apps/several/versions/2/files/img/dot.gif").content == PIXEL


def test_a_draft_survives_and_two_tabs_keep_theirs(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("drafted", FILES)
    with opened(chromium) as page:
        desk(page, daemon, "drafted")
        write(code_of(page, "index.ts"), "// mine\n" + INDEX)
        other = page.context.new_page()
        other.goto(f"{control(daemon)}/apps/drafted")
        write(code_of(other, "index.ts"), "// theirs\n" + INDEX)
        for tab, words in ((page, "// mine"), (other, "// theirs")):
            tab.reload()
            tab.get_by_text(re.compile("Your draft from .*, based on version 1: 1 file changed")).wait_for()
            assert text_in(code_of(tab, "index.ts")).startswith(words)
        other.close()

        page.get_by_role("button", name="Throw it away").click()
        page.get_by_text("nothing changed").wait_for()
        assert text_in(code_of(page, "index.ts")) == INDEX
        page.reload()
        page.get_by_text(re.compile("There is a draft from .*, based on version 1: 1 file changed")).wait_for()
        page.get_by_role("button", name="Keep it").click()
        page.get_by_text("// theirs").wait_for()
        page.keyboard.press("Control+s")
        page.get_by_text("Version 2 is live after").wait_for()
        page.reload()
        page.locator(".bar").get_by_text("version 2 is live").wait_for()
        assert page.locator(".outcome").is_hidden()


def test_a_failed_deploy_marks_the_line_and_the_old_version_answers(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("failing", FILES)
    with opened(chromium) as page:
        desk(page, daemon, "failing")
        leaf(page, "lib/words.ts").click()
        write(code_of(page, "lib/words.ts"), "export const word = 'two';\n\nnothing();\n")
        leaf(page, "index.ts").click()
        page.keyboard.press("Control+s")
        page.get_by_role("alert").get_by_text("Version 1 goes on serving. Your text is as you left it.").wait_for()
        assert "nothing is not defined" in page.get_by_role("alert").inner_text()
        assert page.locator(".cm-failedLine").inner_text() == "nothing();"
        assert page.locator(".cm-lint-marker-error").count() == 1
        assert "failed" in (leaf(page, "lib/words.ts").get_attribute("class") or "")
        page.get_by_role("button", name="lib/words.ts:3").wait_for()
        assert daemon.ask("failing").text == "one"

        write(code_of(page, "lib/words.ts"), SLOW + "export const word = 'three';\n")
        page.keyboard.press("Control+s")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("alert").get_by_text("Cancelled").wait_for()
        assert (daemon.ask("failing").text, page.locator(".files .failed").count()) == ("one", 0)


def test_by_keyboard_alone(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("keyed", FILES)
    with opened(chromium) as page:
        desk(page, daemon, "keyed")
        page.keyboard.press("Control+k")
        page.get_by_role("combobox", name="Go to").wait_for()
        page.keyboard.type("words")
        page.keyboard.press("Enter")
        code_of(page, "lib/words.ts").wait_for()
        page.wait_for_function("document.activeElement.closest('.cm-content')")
        page.keyboard.press("Control+Home")
        page.keyboard.press("Tab")
        assert text_in(code_of(page, "lib/words.ts")).startswith("  export")
        page.keyboard.press("Control+z")
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")
        assert not page.evaluate("Boolean(document.activeElement.closest('.cm-content'))")

        page.keyboard.press("Control+Shift+f")
        page.get_by_role("searchbox").wait_for()
        page.keyboard.type("new response")
        page.get_by_role("status").get_by_text("1 place").wait_for()
        page.keyboard.press("Enter")
        code_of(page, "index.ts").wait_for()
        page.get_by_text("Line 2, column 31").wait_for()
        page.locator(".file-tabs [aria-current]").focus()
        page.keyboard.press("Shift+ArrowLeft")
        assert page.locator(".file-tab").all_inner_texts() == ["index.ts", "words.ts"]

        page.keyboard.press("Control+k")
        page.get_by_role("combobox", name="Go to").wait_for()
        page.keyboard.type("add a file")
        page.keyboard.press("Enter")
        page.get_by_role("textbox", name="Path of the new file").wait_for()
        page.keyboard.type("notes.md")
        page.keyboard.press("Enter")
        code_of(page, "notes.md").wait_for()
        page.keyboard.type("# Notes")
        page.keyboard.press("Control+s")
        page.get_by_text("Version 2 is live after").wait_for()
        assert daemon.api("GET", "/apps/keyed/versions/2/files/notes.md").text == "# Notes"


def test_a_visitor_makes_an_app_of_several_files(daemon: Daemon, chromium: Browser) -> None:
    """No account; a mistake keeps the text and leaves nothing; then it is live, and theirs."""
    with opened(chromium) as page:
        page.goto(control(daemon))
        write(code_of(page, "index.ts"), INDEX)
        page.keyboard.press("Control+s")
        page.get_by_role("alert").get_by_text("Nothing was kept.").wait_for()
        drop(page, "words.ts", b"export const word = 'made here';\n")
        leaf(page, "words.ts").focus()
        page.keyboard.press("F2")
        page.keyboard.press("Control+a")
        page.keyboard.type("lib/words.ts")
        page.keyboard.press("Enter")
        leaf(page, "lib/words.ts").wait_for()
        page.get_by_label("Name").fill("made-here")
        page.get_by_role("button", name="Run it").click()
        page.wait_for_url("**/apps/made-here?deployed=*")
        page.get_by_text("Live after").wait_for()
        assert daemon.ask("made-here").text == "made here"
        page.goto(control(daemon))
        code_of(page, "index.ts").wait_for()
        assert page.locator(".outcome").is_hidden()
