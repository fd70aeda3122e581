"""How the property tests of the contract run: as many examples as usual, and no deadline for each.

A loaded two-core machine pauses any one example for longer than Hypothesis allows by default.
"""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
