"""The config file: which keys it may have and for whom they count."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.cli.settings import CONFIG_BYTES_MAX, config_folder, defaults_for, read_config
from steadyd.errors import SteadyError

KNOWN = {"serve": ["listen", "app-domain", "data"], "run": ["port"], "apps": ["data"]}


def test_a_key_at_the_top_is_for_every_command_that_has_it() -> None:
    config = {"data": "/srv", "port": 9}
    assert defaults_for(config, "serve", KNOWN) == {"data": "/srv"}
    assert defaults_for(config, "apps", KNOWN) == {"data": "/srv"}
    assert defaults_for(config, "run", KNOWN) == {"port": 9}


def test_a_table_named_like_a_command_wins() -> None:
    config = {"data": "/srv", "serve": {"data": "/own", "app_domain": "x"}}
    assert defaults_for(config, "serve", KNOWN) == {"data": "/own", "app-domain": "x"}
    assert defaults_for(config, "apps", KNOWN) == {"data": "/srv"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lisen": "x"}, "did you mean listen?"),
        ({"sever": {}}, "did you mean serve?"),
        ({"serve": {"port": 1}}, "nothing reads port in [serve]"),
    ],
)
def test_what_nothing_reads_is_an_error(config: dict[str, object], said: str) -> None:
    with pytest.raises(SteadyError, match="nothing reads") as caught:
        defaults_for(config, "serve", KNOWN)
    assert said in caught.value.message


def test_reading_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert read_config(path, required=False) == {}
    with pytest.raises(SteadyError, match="cannot read"):
        read_config(path, required=True)
    path.write_text("a = ")
    with pytest.raises(SteadyError, match="not TOML"):
        read_config(path, required=False)
    path.write_text('a = "b"')
    assert read_config(path, required=True) == {"a": "b"}
    path.write_bytes(b"#" * (CONFIG_BYTES_MAX + 1))
    with pytest.raises(SteadyError, match="larger than"):
        read_config(path, required=False)


def test_the_folder_follows_the_environment() -> None:
    assert config_folder({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/steadyd")
    assert config_folder({"HOME": "/h"}) == Path("/h/.config/steadyd")
