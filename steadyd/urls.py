"""Every URL that steadyd prints comes from here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit


@dataclass(frozen=True, slots=True)
class Urls:
    """How this daemon is reached. `port` is the listener's; a `public_url` brings its own scheme and port.
    `abuse_contact` is an e-mail address or an https URL, "" for none: whom to tell what an app does to people."""

    app_domain: str
    control_domain: str
    port: int
    public_url: str = ""
    abuse_contact: str = ""

    @property
    def control(self) -> str:
        """The control plane's origin, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        return f"http://{self.control_domain}{self._port_suffix}"

    @property
    def is_loopback(self) -> bool:
        """Whether the control plane's origin names the machine that the browser runs on."""
        host = urlsplit(self.control).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def _port_suffix(self) -> str:
        return "" if self.port == 80 else f":{self.port}"

    @property
    def abuse(self) -> str:
        """The abuse contact as a link, `mailto:` or https; "" for none."""
        is_url = self.abuse_contact.startswith("https://")
        return self.abuse_contact if is_url or not self.abuse_contact else f"mailto:{quote(self.abuse_contact, '@')}"

    def host(self, name: str) -> str:
        """The host of an app by its name, which lies under the app domain; a name with a dot is a host itself."""
        return name if "." in name else f"{name}.{self.app_domain}"

    def app(self, name: str) -> str:
        """The origin of the app called `name`."""
        host = self.host(name)
        if self.public_url:
            parts = urlsplit(self.public_url)
            suffix = f":{parts.port}" if parts.port else ""
            return f"{parts.scheme}://{host}{suffix}"
        return f"http://{host}{self._port_suffix}"

    def page(self, name: str) -> str:
        """The app's page in the control plane."""
        return f"{self.control}/apps/{name}"
