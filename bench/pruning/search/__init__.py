"""Asking: what the parts of a trained network tell of the label, and the leaner designs that follow."""
