"""The state of the machine while a run was measured, and what it means for the times."""
