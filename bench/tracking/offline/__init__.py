"""Offline: what a run does when its tracking store cannot be reached or its process is killed."""
