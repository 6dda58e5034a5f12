"""What measuring and analysing have in common. Neither torch, pandas, numpy nor matplotlib."""

__version__ = "0.1.0"
