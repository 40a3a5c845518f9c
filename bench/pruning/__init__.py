"""Pruning: the designs of a network, the search for leaner designs, their retraining, and the verdicts on them."""
