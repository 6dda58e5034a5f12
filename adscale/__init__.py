"""The common ground of measuring and analysing. It imports no torch, pandas, numpy, matplotlib."""

__version__ = "0.1.0"
