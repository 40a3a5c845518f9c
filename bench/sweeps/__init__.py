"""Sweeps: many runs of one command, each done once, below a parent that sums them up."""
