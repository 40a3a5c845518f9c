"""Comparing runs: which, their designs' table, their layers' differences, and the page that shows them."""
