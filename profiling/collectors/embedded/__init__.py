"""Records ranges, and what they launched on a GPU, in the process itself, without nsys.

The file it writes has the tables of an nsys export, so that what reads one reads the other.
"""

from .collector import EmbeddedCollector
from .events import Summary

__all__ = ["EmbeddedCollector", "Summary"]
