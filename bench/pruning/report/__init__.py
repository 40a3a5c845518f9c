"""Report: the page of each proposal, the closing sentence, the exported network and what a run logs."""
