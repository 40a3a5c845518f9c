"""Offline: handle a tracking store that is unreachable, and a process that is killed."""
