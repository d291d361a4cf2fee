"""Networks, how far they see, their files, and windowed prediction."""
