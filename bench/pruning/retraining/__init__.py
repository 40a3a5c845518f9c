"""Retraining: designs trained as their base was, judged against controls, and handed over."""
