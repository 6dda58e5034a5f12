"""The study's model of growth, and how far it can be trusted."""
