"""Information: variables, estimates and the LayerTable."""
