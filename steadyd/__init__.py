"""steadyd: one daemon that turns a machine into an instant home for small Bun apps."""

__version__ = "0.1.0"
