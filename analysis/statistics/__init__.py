"""Statistics of samples: pure functions without tables or files."""
