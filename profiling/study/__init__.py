"""The host's side of a study, from configuration to jobs. Nothing here imports torch."""
