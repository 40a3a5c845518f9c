"""Trust: check what the config of a tracked run names, because anyone who can write to the store can change it."""

from bench.tracking.trust.pretrained import refuse_fetching, without_fetching
from bench.tracking.trust.stored import check_names, check_stored, trusted_by
from bench.tracking.trust.walk import one_line

__all__ = ["check_names", "check_stored", "one_line", "refuse_fetching", "trusted_by", "without_fetching"]
