"""The proxy of faults does what its names say, to any client."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.objectstore import BUCKET, Fault, FaultProxy, ObjectStore


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as server:
        yield server


@pytest.fixture
def proxy(store: ObjectStore) -> Iterator[FaultProxy]:
    with FaultProxy(store.port) as between:
        yield between


SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
"""moto keeps from the public what nobody signed for; what the signature is, it does not look at."""


def test_without_a_fault_it_carries(proxy: FaultProxy) -> None:
    url = f"http://127.0.0.1:{proxy.port}/{BUCKET}/key"
    with httpx.Client(headers=SIGNED, trust_env=False) as client:
        assert client.put(url, content=b"x" * 100_000).status_code == 200
        assert client.get(url).content == b"x" * 100_000
        assert client.put(url, content=b"y", headers={"If-None-Match": "*"}).status_code == 412


def test_each_fault_is_what_it_says(proxy: FaultProxy) -> None:
    url = f"http://127.0.0.1:{proxy.port}/{BUCKET}/other"
    with httpx.Client(headers=SIGNED, trust_env=False, timeout=1.0) as client:
        client.put(url, content=b"0" * 10_000)
        for fault, status, reads in ((Fault.FULL, 507, 200), (Fault.BUSY, 503, 503), (Fault.DENIED, 403, 403)):
            proxy.become(fault)
            assert client.put(url, content=b"x" * 100_000).status_code == status
            assert client.get(url).status_code == reads
        proxy.become(Fault.UNCONDITIONAL)
        assert client.put(url, content=b"1", headers={"If-None-Match": "*"}).status_code == 200
        proxy.become(Fault.CUT, cut_bytes=50)
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(url)
        for fault in (Fault.RESET, Fault.REFUSE):
            proxy.become(fault)
            with pytest.raises((httpx.ReadError, httpx.ConnectError)):
                client.get(url)
        for fault in (Fault.HALF_OPEN, Fault.SLOW):
            proxy.become(fault, delay_seconds=5.0)
            with pytest.raises(httpx.ReadTimeout):
                client.get(url)
        proxy.become(Fault.NONE)
        assert client.get(url).content == b"1"


def test_a_port_that_is_refused_can_be_had_again(proxy: FaultProxy) -> None:
    proxy.become(Fault.REFUSE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    proxy.become(Fault.SLOW)
    socket.create_connection(("127.0.0.1", proxy.port), timeout=5).close()
