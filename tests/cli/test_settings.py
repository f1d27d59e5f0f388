"""The config file: which keys it may have and for whom they count."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.cli.settings import CONFIG_BYTES_MAX, config_file, config_folder, defaults_for, read_config
from steadyd.errors import SteadyError

KNOWN = {"serve": ["listen", "app-domain", "data"], "run": ["port"], "apps": ["data"], "token create": ["scope"]}


def test_a_key_at_the_top_is_for_every_command_that_has_it() -> None:
    config = {"data": "/srv", "port": 9}
    assert defaults_for(config, "serve", KNOWN) == {"data": "/srv"}
    assert defaults_for(config, "apps", KNOWN) == {"data": "/srv"}
    assert defaults_for(config, "run", KNOWN) == {"port": 9}


def test_a_table_named_like_a_command_wins() -> None:
    config = {"data": "/srv", "serve": {"data": "/own", "app_domain": "x"}}
    assert defaults_for(config, "serve", KNOWN) == {"data": "/own", "app-domain": "x"}
    assert defaults_for(config, "apps", KNOWN) == {"data": "/srv"}


def test_a_command_of_two_words_has_a_table_of_two_words() -> None:
    config = {"data": "/srv", "token": {"create": {"scope": "read"}}}
    assert defaults_for(config, "token create", KNOWN) == {"scope": "read"}
    assert defaults_for(config, "apps", KNOWN) == {"data": "/srv"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lisen": "x"}, "did you mean listen?"),
        ({"sever": {}}, "did you mean serve?"),
        ({"serve": {"port": 1}}, "nothing reads port in [serve]; it takes app-domain, data, listen"),
        ({"token": {"scope": 1}}, "nothing reads scope in [token]"),
        ({"token": {"creat": {}}}, "nothing reads [token.creat]; did you mean token.create?"),
        ({"serve": {"listen": {"host": "x"}}}, "nothing reads [serve.listen]"),
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


def test_root_reads_the_hosts_file_where_there_is_one(tmp_path: Path) -> None:
    host, own = tmp_path / "steadyd.toml", tmp_path / "steadyd" / "config.toml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert config_file(environ, is_root=True, host=host) == own
    host.write_text("")
    assert config_file(environ, is_root=True, host=host) == host
    assert config_file(environ, is_root=False, host=host) == own
