"""What `make run` does after set-up: start the daemon, deploy the example app, print where everything is.

The daemon's own options come from the environment (`STEADYD_LISTEN=127.0.0.1:9000 make run`), so that the daemon and
the deploy command agree on them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

STEADYD = str(Path(sys.executable).with_name("steadyd"))
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "hello"
NAME = "welcome"
READY = "steadyd ready on "


def main() -> int:
    daemon = subprocess.Popen([STEADYD, "serve"], stdout=subprocess.PIPE, text=True, start_new_session=True)

    def stop(number: int, frame: FrameType | None) -> None:
        daemon.terminate()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    assert daemon.stdout is not None
    for line in daemon.stdout:
        print(line, end="", flush=True)
        if line.startswith(READY):
            welcome(line.removeprefix(READY).strip())
    return daemon.wait()


def welcome(url: str) -> None:
    """Deploy the example unless it is there: a second `make run` must not undo what somebody edited."""
    if subprocess.run([STEADYD, "show", NAME], capture_output=True, check=False).returncode != 0:
        subprocess.run([STEADYD, "deploy", str(EXAMPLE), "--name", NAME], check=False)
    port = url.rsplit(":", 1)[-1]
    print(f"\n  Example app   http://{NAME}.localhost:{port}/")
    print(f"  Control page  http://localhost:{port}/")
    print("  Ctrl-C stops the daemon; apps and their data stay.\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
