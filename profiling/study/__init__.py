"""From the user's configuration to the runs of a study. Nothing here imports torch."""
