"""Methods of one's own, see docs/own-methods.md."""
