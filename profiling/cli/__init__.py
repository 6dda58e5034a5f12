"""The subcommands of ``python -m profiling``, a module each."""
