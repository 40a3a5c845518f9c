"""Training: fit a network, evaluate it and count its cost."""
