"""Does it fit, and is it fast enough? From counts and latencies to answers."""
