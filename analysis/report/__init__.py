"""`report.html`: the study in one page that needs no network."""
