"""The first visit, keeping what came of it, other people's code, and going back, in a real browser."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.served import Daemon
from tests.web.test_browser import CHROMIUM, Browser, code_of, control, log_in, opened, text_in
from tests.web.test_browser import chromium as chromium
from tests.web.test_moments_in_browser import DIARY

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)"),
]

LINKED = "// 100 % <img src=x onerror=window.hit=1>\nexport default { fetch: () => new Response('linked') }\n"


def test_from_the_first_visit_to_an_account(daemon: Daemon, chromium: Browser) -> None:
    """One button makes the example live; its settings say how to keep it; at sign-up it is kept. Others see nothing."""
    with opened(chromium) as page, opened(chromium) as other:
        page.goto(control(daemon))
        page.get_by_label("Name").fill("newcomer")
        page.get_by_role("button", name="Run it").click()
        page.get_by_text("What to try next").wait_for()
        assert "You are visitor number" in daemon.ask("newcomer").text
        page.get_by_role("link", name="Settings").click()
        assert "It is temporary" in page.inner_text("#keep")
        page.get_by_role("link", name="Sign up to keep it").click()
        page.get_by_text("What you made here as a guest is yours from then on, and stays: newcomer.").wait_for()
        page.get_by_label("User name").fill("grace")
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Sign up").click()
        page.get_by_text("It is yours, and it stays").wait_for()
        assert page.locator("#keep").count() == 0
        app = daemon.api("GET", "/apps/newcomer").json()["app"]
        assert (app["owner"], app["temporary"]) == ("grace", False)
        for place in ("/settings", "/versions", "/databases"):
            answer = other.goto(f"{control(daemon)}/apps/newcomer{place}")
            assert answer.status == 404


def test_code_of_others_is_open_and_runs_only_by_the_button(daemon: Daemon, chromium: Browser) -> None:
    """From a link, and from a public app."""
    before = len(daemon.api("GET", "/apps").json()["apps"])
    with opened(chromium) as page:
        page.goto(f"{control(daemon)}/new#code={quote(LINKED)}")
        page.get_by_text("This code came with a link. Read it before you run it.").wait_for()
        assert text_in(code_of(page, "index.ts")).rstrip("\n") == LINKED.rstrip("\n")
        assert page.evaluate("window.hit") is None
        assert len(daemon.api("GET", "/apps").json()["apps"]) == before
        page.get_by_label("Name").fill("linked")
        page.get_by_role("button", name="Run it").click()
        page.get_by_text("What to try next").wait_for()
        assert daemon.ask("linked").text == "linked"

        daemon.create("shared", {"index.ts": LINKED.replace("linked", "shared"), "lib/a.ts": "export {}\n"})
        daemon.api("POST", "/apps/shared/deploys", json={"merge": True, "files": {"logo.png": {"base64": "AAE="}}})
        daemon.api("PATCH", "/apps/shared/settings", json={"visibility": "public"})
        page.goto(f"{control(daemon)}/apps/shared")
        page.get_by_text("new Response('shared')").wait_for()
        page.get_by_role("link", name="Remix").click()
        page.get_by_text("Read it before you run it").first.wait_for()
        assert page.evaluate("window.hit") is None
        page.get_by_label("Name", exact=True).fill("remixed")
        page.get_by_role("button", name="Run it").click()
        page.get_by_text("What to try next").wait_for()
        assert daemon.ask("remixed").text == "shared"
        told = daemon.api("GET", "/apps/remixed/versions/1").json()
        assert told["version"]["remix_of"] == "shared"
        assert [file["path"] for file in told["files"]] == ["index.ts", "lib/a.ts", "logo.png"]


def test_back_to_a_version_with_its_data_and_its_undo(daemon: Daemon, chromium: Browser) -> None:
    """Without scripts: these pages have none."""
    name = "turning"
    daemon.create(name, {"index.ts": DIARY})
    daemon.ask(name, "/", "POST", content="INSERT INTO notes VALUES (1, 'one')")
    daemon.api("POST", f"/apps/{name}/deploys", json={"merge": True, "files": {"index.ts": DIARY + "// two\n"}})
    daemon.ask(name, "/", "POST", content="INSERT INTO notes VALUES (2, 'two')")
    with opened(chromium, java_script_enabled=False) as page:
        log_in(page, daemon)
        page.goto(f"{control(daemon)}/apps/{name}/versions")
        page.get_by_role("link", name="What version 2 changed").click()
        page.get_by_text("// two").wait_for()
        page.get_by_role("link", name="Versions").click()
        page.get_by_role("link", name="Go back to version 1").click()
        page.get_by_label("the data as it was when this version was last live").check()
        page.get_by_role("button", name="Go back to version 1").click()
        page.get_by_text("with its data").wait_for()
        assert daemon.ask(name, "/").json() == [[1, "one"]]
        page.get_by_role("button", name="Undo: back to version 2").click()
        page.get_by_text("Version 2 is live again").wait_for()
        assert daemon.ask(name, "/").json() == [[1, "one"], [2, "two"]]


def test_a_dropped_file_of_variables_is_marked_before_it_is_sent(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("varied", {"index.ts": LINKED})
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(f"{control(daemon)}/apps/varied/settings")
        content = b"# mine\nAPI_KEY='s3cr3t'\nGREETING=hi\nCODE=1\n"
        page.locator("[data-env-file]").set_input_files([{"name": ".env", "mimeType": "text/plain", "buffer": content}])
        assert page.get_by_label("API_KEY is secret").is_checked()
        assert not page.get_by_label("GREETING is secret").is_checked()
        page.get_by_label("CODE is secret").check()
        page.locator("form[data-env]").get_by_role("button", name="Set").click()
        page.get_by_text("The variables are in effect.").wait_for()
    env = daemon.api("GET", "/apps/varied/env").json()["env"]
    assert {name: told["secret"] for name, told in env.items()} == {"API_KEY": True, "CODE": True, "GREETING": False}
