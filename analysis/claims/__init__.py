"""What the study claims, held against counts: the tables that docs/study.md quotes."""
