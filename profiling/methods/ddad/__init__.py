"""DDAD (Mousakhan, Brox, Tayyub 2023): an image is compared with its conditioned denoising."""
