"""An app that makes system calls at random, beside a neighbour that must not notice."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import httpx
import pytest

from tests.e2e.neighbour import Neighbour
from tests.served import Daemon

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

NAMES = (
    "fork vfork clone exit exit_group kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal"
    " mmap munmap mprotect mremap brk madvise remap_file_pages shmat shmdt rt_sigaction rt_sigprocmask rt_sigreturn"
    " sigaltstack arch_prctl set_robust_list rseq close close_range dup2 dup3 pause ppoll pselect6 execve execveat"
)
"""What would multiply it, which is another test's, or end it, its neighbours inside or its own memory at once."""
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ROUNDS = 40
ROUND_MS = 250
SOURCE = f"""
export default {{ async fetch(request: Request) {{
  if (request.method !== "POST") return new Response("calm");
  const ended = [];
  for (let seed = 1; seed <= {ROUNDS}; seed++) {{
    const words = [process.execPath, "/app/storm.ts", String(seed * 7919), ...(await request.clone().json())];
    const quiet = {{ stdout: "ignore", stderr: "ignore" }} as const;
    const storm = Bun.spawn(words, {{ ...quiet, timeout: {ROUND_MS}, killSignal: "SIGKILL" }});
    await storm.exited;
    ended.push(storm.signalCode ?? storm.exitCode);
  }}
  return Response.json(ended);
}} }};
"""


def test_random_system_calls_harm_nobody_else(daemon: Daemon) -> None:
    """N4: neither the neighbour, nor the daemon, nor the host's settings; and what it left is removed."""
    header = HEADERS[platform.machine()]
    if not header.is_file():
        pytest.skip("no C headers here")
    known = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", header.read_text())
    storm = (Path(__file__).parent / "storm.ts").read_text()
    daemon.create("stormy", {"index.ts": SOURCE, "storm.ts": storm})
    before = Path("/proc/sys/kernel/core_pattern").read_text(), os.uname().nodename
    with Neighbour(daemon):
        numbers = [number for name, number in known if name in NAMES.split()]
        answer = daemon.ask("stormy", method="POST", json=numbers)
        assert len(answer.json()) == ROUNDS, answer.text
    assert daemon.process.poll() is None
    assert httpx.get(f"{daemon.url}/healthz").status_code == 200
    assert before == (Path("/proc/sys/kernel/core_pattern").read_text(), os.uname().nodename)
    assert daemon.api("DELETE", "/apps/stormy?purge=1").status_code == 204
