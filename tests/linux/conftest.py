"""The runner's fixtures, for what is asked of the kernel on behalf of its apps."""

from tests.linux.ground import ground
from tests.runner.conftest import bun, pytest_runtest_setup, root

__all__ = ["bun", "ground", "pytest_runtest_setup", "root"]
