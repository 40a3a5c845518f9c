"""Rivals: other ways to a leaner design, with as much training, that `propose` is compared with."""
