"""The command line. Heavy libraries are imported inside the commands that use them, so that `--help` is instant."""

from steadyd.cli.program import main

__all__ = ["main"]
