"""The rewrite rules, as data. Each also is a test: both sides must give the same numbers."""

from __future__ import annotations

from converter.passes.rules.activations import ACTIVATION_RULES
from converter.passes.rules.identities import IDENTITY_RULES
from converter.passes.rules.normalization import NORMALIZATION_RULES

RULES = [*IDENTITY_RULES, *ACTIVATION_RULES, *NORMALIZATION_RULES]

__all__ = ["ACTIVATION_RULES", "IDENTITY_RULES", "NORMALIZATION_RULES", "RULES"]
