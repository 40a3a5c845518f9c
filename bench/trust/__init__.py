"""Trust: what the config of a tracked run may name, since whoever can write to its store can write the config."""

from bench.trust.pretrained import refuse_fetching, without_fetching
from bench.trust.stored import check_names, check_stored, trusted_by
from bench.trust.walk import shown

__all__ = ["check_names", "check_stored", "refuse_fetching", "shown", "trusted_by", "without_fetching"]
