"""One reading of the host: one answer or 400, and a table that is looked up exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.proxy.hosts import HOST_BYTES_MAX, RouteTable, agree, is_loopback, read_host, split_absolute
from tests.proxy.stage import StagedService

READABLE = [
    (b"alpha.localhost", "alpha.localhost"),
    (b"ALPHA.LocalHost", "alpha.localhost"),
    (b"alpha.localhost:8080", "alpha.localhost"),
    (b"alpha.localhost:", "alpha.localhost"),
    (b"alpha.localhost.", "alpha.localhost"),
    (b"alpha.localhost.:80", "alpha.localhost"),
    (b"alpha.localhost:65535", "alpha.localhost"),
    (b"alpha.localhost.evil.com", "alpha.localhost.evil.com"),
    (b"xn--bcher-kva.localhost", "xn--bcher-kva.localhost"),
    (b"my_app.localhost", "my_app.localhost"),
    (b"127.0.0.1", "127.0.0.1"),
    (b"127.0.0.1:8080", "127.0.0.1"),
    (b"[::1]", "[::1]"),
    (b"[::1]:8080", "[::1]"),
    (b"[0:0:0:0:0:0:0:1]", "[::1]"),
    (b"0x7f.1", "0x7f.1"),
    (b"2130706433", "2130706433"),
    (b"a" * HOST_BYTES_MAX, "a" * HOST_BYTES_MAX),
]
UNREADABLE = [
    b"",
    b" ",
    b".",
    b"..",
    b".alpha.localhost",
    b"alpha..localhost",
    b"alpha.localhost..",
    b"alpha.localhost, beta.localhost",
    b"alpha.localhost,beta.localhost",
    b"alpha.localhost beta.localhost",
    b"alpha.localhost:80@x",
    b"u@alpha.localhost",
    b"u:p@alpha.localhost",
    b"alpha.localhost/",
    b"alpha.localhost/x",
    b"alpha.localhost?x",
    b"alpha.localhost#x",
    b"alpha.localhost\\x",
    b"alpha.localhost;x",
    b"http://alpha.localhost",
    b"alpha.localhost:80:80",
    b"alpha.localhost:8o",
    b"alpha.localhost:-1",
    b"alpha.localhost:65536",
    b"alpha.localhost:99999999999999999999",
    b"alpha%2elocalhost",
    b"b\xc3\xbccher.localhost",
    b"alpha\x00.localhost",
    b"alpha\t.localhost",
    b"*",
    b"*.localhost",
    b"'alpha.localhost'",
    b"::1",
    b"[::1",
    b"[::1]x",
    b"[:::1]",
    b"[1.2.3.4]",
    b"[fe80::1%25eth0]",
    b"[]",
    b"a" * (HOST_BYTES_MAX + 1),
]


@pytest.mark.parametrize(("authority", "host"), READABLE)
def test_one_host_is_read(authority: bytes, host: str) -> None:
    assert read_host(authority) == host


@pytest.mark.parametrize("authority", UNREADABLE)
def test_whatever_could_be_read_in_two_ways_is_400(authority: bytes) -> None:
    with pytest.raises(SteadyError) as caught:
        read_host(authority)
    assert (caught.value.code, caught.value.status) == ("bad_host", 400)


@given(st.binary(max_size=300))
def test_reading_gives_a_normal_host_or_bad_host(authority: bytes) -> None:
    try:
        host = read_host(authority)
    except SteadyError:
        return
    assert host == host.lower()
    assert read_host(host.encode()) == host


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://alpha.localhost:80/x?y", "alpha.localhost", b"/x?y"),
        (b"HTTPS://Alpha.localhost", "alpha.localhost", b"/"),
        (b"http://alpha.localhost?q", "alpha.localhost", b"/?q"),
        (b"http://[::1]//x", "[::1]", b"//x"),
    ],
)
def test_an_absolute_target_is_taken_apart(target: bytes, host: str, path: bytes) -> None:
    assert split_absolute(target) == (host, path)


@pytest.mark.parametrize("target", [b"*", b"x", b"ftp://a/", b"http://", b"http:///x", b"http://u@a/", b"alpha:80"])
def test_other_targets_are_refused(target: bytes) -> None:
    with pytest.raises(SteadyError) as caught:
        split_absolute(target)
    assert caught.value.status == 400


def test_a_target_that_disagrees_with_the_host_header_is_refused() -> None:
    assert agree("a", "a") == agree("a", None) == "a"
    with pytest.raises(SteadyError):
        agree("a", "b")


def test_routes_are_exact_and_addresses_lead_to_the_control_plane_only_on_localhost() -> None:
    app, control = StagedService("app"), StagedService("control")
    services = {"app.localhost": app, "localhost": control}
    local = RouteTable(services, control, "http://localhost:1", any_ip_is_control=True)
    assert local.find("app.localhost") is app
    assert [local.find(host) for host in ("127.0.0.1", "[::1]", "10.1.2.3")] == [control] * 3
    unknown = ("x.app.localhost", "app.localhost.evil.com", "2130706433", "0x7f.1", "1.2.3", "999.1.1.1")
    assert [local.find(host) for host in unknown] == [None] * 6
    assert local.redirects("127.0.0.1")
    assert not local.redirects("localhost")
    elsewhere = RouteTable(services, control, "https://steady.example")
    assert elsewhere.find("127.0.0.1") is None
    assert not elsewhere.redirects("127.0.0.1")
    private = RouteTable(services, control, "http://localhost:1", only_control=True)
    assert [private.find(host) for host in ("app.localhost", "localhost", "10.1.2.3", "any.example")] == [control] * 4
    assert not private.redirects("10.1.2.3")


def test_only_an_app_has_a_page_and_only_where_there_is_a_control_plane() -> None:
    app, control = StagedService("app"), StagedService("control", owned_by_steadyd=True)
    table = RouteTable({}, control, "https://steady.example")
    assert table.page_of(app) == "https://steady.example/apps/app#death"
    assert [table.page_of(control), table.page_of(None), RouteTable().page_of(app)] == ["", "", ""]


def test_loopback_is_told_from_the_client_address() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("unknown")
