"""Search: the information about the label in the parts of a trained network, and the leaner designs that follow."""
