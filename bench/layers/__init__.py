"""Layers: from the taps of a network to rows of the LayerTable."""
