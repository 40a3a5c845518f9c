"""Sweeps: many runs of one command. Each job runs once, and a parent run summarises them."""
