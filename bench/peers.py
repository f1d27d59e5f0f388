"""The reverse proxies that are compared: how each is started in front of the same app.

Each gets one worker or what it takes by default, keep-alive to the app, and no access log; steadyd keeps its own.
"""

from __future__ import annotations

import getpass
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NGINX = """
daemon off; user {user}; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 100m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $to_app {{ default upgrade; "" ""; }}
  upstream app {{ server unix:{socket}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 1000000000;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1;
      proxy_set_header Connection $to_app; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 120s
  timeout tunnel 1h
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  option forwardfor
  default_backend app
backend app
  server one unix@{socket} pool-max-conn 512
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind 127.0.0.1
  reverse_proxy unix/{socket}
}}
"""
TRAEFIK = """
http:
  routers:
    all: {{ rule: "PathPrefix(`/`)", service: app, entryPoints: [web] }}
  services:
    app: {{ loadBalancer: {{ servers: [ {{ url: "http://127.0.0.1:{app_port}" }} ] }} }}
"""


@dataclass(frozen=True)
class Place:
    """Where a proxy runs: a folder for its files, its port, and the app's two doors."""

    folder: Path
    port: int
    socket: Path
    app_port: int

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text.format(**vars(self), user=getpass.getuser()))
        return str(path)


def _steadyd(place: Place) -> list[str]:
    return [sys.executable, "-m", "bench.front", str(place.socket), str(place.port)]


def _nginx(place: Place) -> list[str]:
    return [_found("nginx"), "-p", str(place.folder), "-c", place.write("nginx.conf", NGINX)]


def _haproxy(place: Place) -> list[str]:
    return [_found("haproxy"), "-db", "-f", place.write("haproxy.cfg", HAPROXY)]


def _caddy(place: Place) -> list[str]:
    return [_found("caddy"), "run", "--adapter", "caddyfile", "--config", place.write("Caddyfile", CADDY)]


def _traefik(place: Place) -> list[str]:
    routes = place.write("routes.yml", TRAEFIK)
    return [
        _found("traefik"),
        f"--entrypoints.web.address=127.0.0.1:{place.port}",
        f"--providers.file.filename={routes}",
        "--log.level=ERROR",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]


PEERS: dict[str, Callable[[Place], list[str]]] = {
    "steadyd": _steadyd,
    "nginx": _nginx,
    "haproxy": _haproxy,
    "caddy": _caddy,
    "traefik": _traefik,
}
"""Name -> the command that serves `Place.port`. A command raises FileNotFoundError if its program is not here."""


def _found(program: str) -> str:
    beside = Path(sys.executable).with_name(program)
    path = (
        str(beside) if beside.exists() else shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/bin:/sbin:/bin")
    )
    if path is None:
        raise FileNotFoundError(program)
    return path
