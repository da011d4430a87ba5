"""Profiles for the properties: ``ci`` takes about a minute, ``deep`` as long as told.

``pytest fuzz --hypothesis-profile=deep`` runs 100,000 examples each; ``TERCET_FUZZ_EXAMPLES`` sets another number.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "ci", max_examples=200, deadline=None, suppress_health_check=_quiet, derandomize=True
)
settings.register_profile(
    "deep",
    max_examples=int(os.environ.get("TERCET_FUZZ_EXAMPLES", "100000")),
    deadline=None,
    suppress_health_check=_quiet,
)
settings.load_profile("ci")
