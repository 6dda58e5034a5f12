"""Tables of any profile and of our runs: ranges, kernels, what is left out; and a run's times."""
