"""The methods, as far as they are known without building them."""
