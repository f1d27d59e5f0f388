from __future__ import annotations

from steadyd.urls import Urls


def test_urls_carry_the_listener_s_port() -> None:
    urls = Urls("localhost", "localhost", 8080)
    assert urls.control == "http://localhost:8080"
    assert urls.app("hello") == "http://hello.localhost:8080"
    assert urls.page("hello") == "http://localhost:8080/apps/hello"


def test_a_name_lies_under_the_app_domain_and_a_domain_is_a_host_itself() -> None:
    urls = Urls("apps.example", "steady.example", 80)
    assert (urls.host("hello"), urls.host("my.domain")) == ("hello.apps.example", "my.domain")


def test_port_80_is_not_written() -> None:
    urls = Urls("apps.example", "steady.example", 80)
    assert (urls.control, urls.app("hello")) == ("http://steady.example", "http://hello.apps.example")


def test_an_abuse_contact_is_a_link() -> None:
    def link(contact: str) -> str:
        return Urls("a.b", "c.d", 80, abuse_contact=contact).abuse

    assert (link(""), link("https://a.b/x"), link("a&b@c.d")) == ("", "https://a.b/x", "mailto:a%26b@c.d")


def test_a_public_url_brings_its_own_scheme_and_port() -> None:
    urls = Urls("apps.example", "steady.example", 8080, "https://steady.example:8443/")
    assert (urls.control, urls.app("hello")) == ("https://steady.example:8443", "https://hello.apps.example:8443")
    assert Urls("a.b", "c.d", 8080, "https://c.d").app("hello") == "https://hello.a.b"
