"""Retraining: train designs as their base was trained, judge them against baseline designs, export the best."""
