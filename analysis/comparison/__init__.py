"""Two measurements side by side: how many times as long, how sure, and what else is different."""
