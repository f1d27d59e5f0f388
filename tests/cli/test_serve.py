"""From the options of `serve` to a Config."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from steadyd.config import NO_LIMIT_BYTES, NO_LIMIT_SECONDS, Address, Config
from tests.cli.conftest import Steadyd


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """What the daemon was started with; it ends at once, with code 3."""
    configs: list[Config] = []

    def serve(config: Config) -> int:
        configs.append(config)
        return 3

    import steadyd

    daemon = types.ModuleType("steadyd.daemon")
    vars(daemon)["serve"] = serve
    monkeypatch.setitem(sys.modules, "steadyd.daemon", daemon)
    monkeypatch.setattr(steadyd, "daemon", daemon, raising=False)
    return configs


WORDS = """--listen 0.0.0.0:0 --private-listen 10.0.0.1:9
    --data /srv/s --app-domain Apps.example --control-domain steady.example
    --public-url https://steady.example --abuse-contact abuse@steady.example
    --sandbox required --guests on --signup closed --freeze 30 --idle 0
    --start-deadline 10 --hold 2s --drain 500ms --grace 1min --cron-deadline 30s --replicated-seconds 3 --logs 1M
    --request-body 5MiB --env-value 1KiB --files 4 --file-size 3MiB --app-size 0
    --memory 512MiB --cpus 2 --processes 100 --disk 2GiB --guest-memory 64MiB --guest-disk 10MiB
    --memory-max 1GiB --cpus-max 3 --processes-max 200 --disk-max 0
    --guest-apps 9 --creations-per-hour 8 --log-ins-per-hour 7 --signups-per-hour 3 --client-connections 6
    --waiters 5 --temporary-days 1 --deleted-days 0 --name-quarantine-days 2
    --versions-kept 20 --replica file:///srv/replica --points-kept 9"""


def test_defaults(home: Path, steadyd: Steadyd, served: list[Config]) -> None:
    assert steadyd("serve").exit_code == 3
    assert served == [Config(data=home / "data" / "steadyd")]


def test_every_option(steadyd: Steadyd, served: list[Config]) -> None:
    assert steadyd("serve", *WORDS.split()).exit_code == 3
    assert served == [
        Config(
            data=Path("/srv/s"),
            listen=Address("0.0.0.0", 0),
            private_listen=Address("10.0.0.1", 9),
            app_domain="apps.example",
            control_domain="steady.example",
            public_url="https://steady.example",
            abuse_contact="abuse@steady.example",
            sandbox="required",
            guests=True,
            signup="closed",
            freeze_seconds=30,
            idle_seconds=0,
            start_seconds=10,
            hold_seconds=2,
            drain_seconds=0.5,
            cron_seconds=30.0,
            replicated_seconds=3.0,
            grace_seconds=60,
            log_bytes=1 << 20,
            request_body_bytes=5 << 20,
            files=4,
            file_bytes=3 << 20,
            app_bytes=0,
            env_value_bytes=1 << 10,
            memory_bytes=512 << 20,
            cpus=2,
            processes=100,
            disk_bytes=2 << 30,
            guest_memory_bytes=64 << 20,
            guest_disk_bytes=10 << 20,
            memory_bytes_ceiling=1 << 30,
            cpus_ceiling=3,
            processes_ceiling=200,
            disk_bytes_ceiling=0,
            guest_apps=9,
            creations_per_hour=8,
            log_ins_per_hour=7,
            signups_per_hour=3,
            client_connections=6,
            waiters=5,
            temporary_days=1,
            deleted_days=0,
            name_quarantine_days=2,
            versions_kept=20,
            replica="file:///srv/replica",
            points_kept=9,
        )
    ]


def test_0_turns_a_limit_off(steadyd: Steadyd, served: list[Config]) -> None:
    """Where a 0 would not say so by itself to the part that asks."""
    off = "start-deadline hold request-body"
    steadyd("serve", *(word for name in off.split() for word in (f"--{name}", "0")))
    [config] = served
    assert config.start_seconds == config.hold_seconds == NO_LIMIT_SECONDS
    assert config.request_body_bytes == NO_LIMIT_BYTES


def test_guests_and_sign_up_follow_the_listener(steadyd: Steadyd, served: list[Config]) -> None:
    steadyd("serve", "--listen", "127.0.0.1:1")
    steadyd("serve", "--listen", "192.0.2.1:1")
    assert [(config.guests, config.signup) for config in served] == [(True, "open"), (False, "invite")]


def test_environment_and_file(home: Path, steadyd: Steadyd, served: list[Config]) -> None:
    config = home / "config" / "steadyd" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('idle = "2h"\nguests = false\n[serve]\nlisten = "127.0.0.1:7000"\n')
    steadyd("serve", env={"STEADYD_LISTEN": "127.0.0.1:9000"})
    assert (served[0].listen.port, served[0].idle_seconds, served[0].guests) == (9000, 7200, False)


@pytest.mark.parametrize(
    "words",
    [
        ["--listen", "nowhere"],
        ["--listen", "127.0.0.1:99999"],
        ["--sandbox", "maybe"],
        ["--guests", "perhaps"],
        ["--idle", "soon"],
        ["--replica", "ftp://x"],
        ["--private-listen", "nonsense"],
        ["extra"],
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(steadyd: Steadyd, served: list[Config], words: list[str]) -> None:
    """A wrong value is refused, not swallowed."""
    assert steadyd("serve", *words).exit_code == 2
    assert served == []


def test_a_default_above_its_ceiling_is_a_usage_error(steadyd: Steadyd, served: list[Config]) -> None:
    result = steadyd("serve", "--memory", "2GiB", "--memory-max", "1GiB")
    assert (result.exit_code, served) == (2, [])
    assert "--memory 2GiB is more than --memory-max 1GiB" in result.stderr


def test_a_ceiling_that_nobody_set_is_never_below_the_default(steadyd: Steadyd, served: list[Config]) -> None:
    steadyd("serve", "--memory", "100000GiB", "--cpus", "5000")
    steadyd("serve", "--memory", "0", "--cpus", "0")
    assert [config.memory_bytes_ceiling for config in served] == [100_000 << 30, 0]
    assert [config.cpus_ceiling for config in served] == [5_000, 0]


def test_a_private_address_beyond_this_machine_is_no_loopback(steadyd: Steadyd, served: list[Config]) -> None:
    for private in ("127.0.0.1:1", "10.0.0.1:1"):
        steadyd("serve", "--private-listen", private)
    assert [(config.is_loopback, config.guests, config.signup) for config in served] == [
        (True, True, "open"),
        (False, False, "invite"),
    ]


def test_a_bucket_has_its_keys_from_the_environment(
    steadyd: Steadyd, served: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else of it; what is printed of the configuration has none of them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert steadyd("serve", "--replica", "s3://bucket/one").exit_code == 3
    assert served[0].replica_credentials == {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "hush"}
    assert "hush" not in repr(served[0])


def test_or_from_a_file(
    steadyd: Steadyd, served: list[Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is all that counts then."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of something else")
    file = tmp_path / "keys"
    file.write_text("[default]\naws_access_key_id = AKIA2\naws_secret_access_key = hush\n")
    assert steadyd("serve", "--replica", "s3://bucket", "--replica-credentials", str(file)).exit_code == 3
    assert served[0].replica_credentials == {"AWS_ACCESS_KEY_ID": "AKIA2", "AWS_SECRET_ACCESS_KEY": "hush"}


def test_a_replica_that_cannot_be_is_wrong_usage(
    steadyd: Steadyd, served: list[Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    for words, said in (
        (["--replica", "/srv/backups"], "file:///path or s3://bucket/prefix"),
        (["--replica", "s3://bucket"], "AWS_ACCESS_KEY_ID"),
        (["--replica", "s3://bucket", "--replica-credentials", str(tmp_path / "none")], "No such file"),
        (["--replica", "s3://bucket", "--replica-credentials", str(tmp_path / "keys")], "it is no text"),
    ):
        answer = steadyd("serve", *words)
        assert answer.exit_code == 2
        assert said in answer.output
    assert served == []
