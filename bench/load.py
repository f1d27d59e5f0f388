"""Load from wrk, and what it says about it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

HOST = "hello.localhost"
UPLOAD_BYTES = 64 * 1024

SCRIPTS = {
    "small": "",
    "large": 'wrk.path = "/large"\n',
    "upload": f'wrk.method = "POST"\nwrk.body = string.rep("x", {UPLOAD_BYTES})\n',
    "browser": "".join(
        f'wrk.headers["{name}"] = "{value}"\n'
        for name, value in {
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Accept-Language": "en-US,en;q=0.5",
            "Accept-Encoding": "gzip, deflate, br, zstd",
            "Referer": "http://hello.localhost/start",
            "Cookie": "session=4f1c9e0b6d5a4e8f9b7c2d1e0f3a5b6c; theme=dark",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Site": "same-origin",
            "Priority": "u=0, i",
            "Cache-Control": "no-cache",
        }.items()
    ),
    "fresh": 'local n = 0\nrequest = function()\n  n = n + 1\n  wrk.headers["X-Fresh"] = n\n'
    "  return wrk.format()\nend\n",
}
"""Scenario -> wrk script. `fresh` never repeats a header block, so that no cache helps."""

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Load:
    """What one run did. Latencies in milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float
    errors: int


def run_wrk(port: int, connections: int, seconds: int, scenario: str, folder: Path) -> Load:
    """Load `port` for a while. Raises RuntimeError if wrk's answer cannot be read."""
    script = folder / f"{scenario}.lua"
    script.write_text(SCRIPTS[scenario])
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Host: {HOST}"]
    done = subprocess.run(
        [*command, "-s", str(script), f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    )
    return read_wrk(done.stdout)


def read_wrk(text: str) -> Load:
    """Read wrk's report."""
    total = re.search(r"(\d+) requests in ([\d.]+)s", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if total is None or rate is None:
        raise RuntimeError(f"wrk said: {text}")
    errors = sum(int(number) for number in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        int(total[1]), float(rate[1]), _latency(text, 50), _latency(text, 99), errors + (int(bad[1]) if bad else 0)
    )


def _latency(text: str, percent: int) -> float:
    match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s|m)\b", text)
    return float(match[1]) * _UNITS[match[2]] if match else float("nan")
