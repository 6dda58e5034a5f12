"""EfficientAD (Batzner, Heckler, König, WACV 2024): student, teacher and autoencoder."""
