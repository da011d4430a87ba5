"""The fault catalogue: one entry for every row of ``faults.json`` (``catalogue``), played on one stage (``stage``, ``cases``)."""

import pytest

pytest.register_assert_rewrite(*(f"{__package__ or 'tests.faults'}.{name}" for name in ("cases", "stage")))
