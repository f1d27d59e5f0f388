"""Where a link leads, and what is shipped in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.web.links import LINK_CHAIN_MAX, copies, end, target

FILES = ["index.ts", "lib/a.ts", "lib/deep/b.ts"]
SAID = st.text("./ab\0", max_size=12)


@pytest.mark.parametrize(
    ("path", "said", "from_top", "found"),
    [
        ("x", "index.ts", False, "index.ts"),
        ("lib/x", "../index.ts", False, "index.ts"),
        ("lib/x", "./deep//b.ts", False, "lib/deep/b.ts"),
        ("lib/x", "index.ts", True, "index.ts"),
        ("lib/x", "./lib/a.ts", True, "lib/a.ts"),
        ("lib/x", "..", False, ""),
    ],
)
def test_a_link_leads_somewhere(path: str, said: str, from_top: bool, found: str) -> None:
    assert target(path, said, from_top) == found


@pytest.mark.parametrize("said", ["/etc/passwd", "../../x", "..", "a/../../x", "", "a\0b", "/"])
def test_a_link_that_leads_out_is_named(said: str) -> None:
    with pytest.raises(SteadyError, match="“x” is a link, and it leads out") as caught:
        target("x", said, False)
    assert (caught.value.code, caught.value.details) == ("invalid_path", {"path": "x"})


@given(SAID, st.booleans())
def test_no_link_leads_out(said: str, from_top: bool) -> None:
    try:
        found = target("lib/x", said, from_top)
    except SteadyError:
        return
    assert not found.startswith("/")
    assert ".." not in found.split("/")


def test_links_to_links_are_followed_so_far() -> None:
    chain = {f"l{n}": f"l{n + 1}" for n in range(LINK_CHAIN_MAX + 1)}
    assert end("l1", chain) == f"l{LINK_CHAIN_MAX + 1}"
    for path, links in (("l0", chain), ("a", {"a": "b", "b": "a"}), ("a", {"a": "a"})):
        with pytest.raises(SteadyError, match=f"“{path}” is a link, and it leads over"):
            end(path, links)


def test_what_lies_there_is_copied() -> None:
    assert copies("x", "index.ts", FILES, []) == {"x": "index.ts"}
    assert copies("x", "lib", FILES, ["x"]) == {"x/a.ts": "lib/a.ts", "x/deep/b.ts": "lib/deep/b.ts"}
    for at in ("gone", "lib/de", "index.ts/x"):
        with pytest.raises(SteadyError, match="nothing is shipped at"):
            copies("x", at, FILES, ["x"])
    for path, at in (("x", "lib"), ("lib/x", "lib"), ("x", "")):
        with pytest.raises(SteadyError, match="a link to a folder"):
            copies(path, at, FILES, [path, "lib/deep/y"])
