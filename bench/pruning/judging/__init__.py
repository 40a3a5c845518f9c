"""Judging: the results of retrained designs, their intervals, and the verdicts against base and baseline designs."""
