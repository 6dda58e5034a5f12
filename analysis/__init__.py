"""Everything after the measurement: nsys SQLite, attribution, statistics, fits, figures.

Nothing here imports ``profiling`` or torch; files are the only bridge between the two.
"""
