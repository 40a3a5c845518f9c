"""Pruning: the designs of a network, the search for leaner ones, and their retraining."""
