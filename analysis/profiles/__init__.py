"""Tables of any profile: its ranges by path, its kernels by path and name, and what is left out."""
