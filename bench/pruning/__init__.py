"""Pruning: the designs of a network, the search for leaner designs, and their retraining."""
