"""Order integration hub: one writer of orders, every system downstream kept equal to it."""

__version__ = "0.1.0"
