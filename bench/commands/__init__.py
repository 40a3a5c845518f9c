"""The commands of `python -m bench NAME`, one file for each."""
