"""Memory by counting: what an inference needs at any resolution, without running an image."""
