"""Figures: each a function from tables to a drawing with its data and its caption."""
