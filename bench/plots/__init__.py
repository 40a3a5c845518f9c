"""Plots: figures from tables, independent of models.

Matplotlib takes a second to load, so it loads when one of these names is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "calibration": ["calibration"],
        "chains": ["chains"],
        "comparisons": ["layer_differences", "score_against_cost"],
        "designs": ["COSTS", "gains", "pareto", "predicted_loss", "training_curves"],
        "discarding": ["discarding", "discarding_maps", "over_epochs"],
        "filter_counts": ["filter_count"],
        "network": ["networks", "svg"],
        "pairs": ["pairs"],
        "planes": ["information_over_epochs", "information_plane"],
        "shared": ["heading"],
        "styles": ["design_styles"],
        "u_plots": ["overlaid", "u_plot"],
    },
)
