"""Comparison of runs: their selection, the table of designs, differences between layers, figures and the page."""
