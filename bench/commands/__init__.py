"""Commands: what `python -m bench NAME` does, a file for each."""
