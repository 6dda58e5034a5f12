"""Records ranges, and what they launched on a GPU, in the process itself, without nsys.

The file it writes has the tables of an nsys export, so that what reads one reads the other.
"""

from profiling.collectors.embedded.collector import EmbeddedCollector
from profiling.collectors.embedded.summary import Summary

__all__ = ["EmbeddedCollector", "Summary"]
