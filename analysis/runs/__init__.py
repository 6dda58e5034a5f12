"""Our own runs: what `run.json` promises, and the ranges that the profile holds."""
