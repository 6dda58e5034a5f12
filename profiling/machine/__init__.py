"""The state of the machine while a run is measured."""
