"""What is known of the methods without building them."""
