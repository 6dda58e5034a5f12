"""The two ways to record a run: Nsight Systems, and ranges recorded in the process itself."""
