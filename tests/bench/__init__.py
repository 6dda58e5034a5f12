"""Speed, as ratios of two ways to do the same in one run. `make bench` prints the tables."""
