"""Retraining: train designs as their base was trained, many briefly and few to their end, within a budget."""
