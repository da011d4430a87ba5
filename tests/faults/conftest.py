"""Assertions outside the test modules tell their values, too."""

import pytest

pytest.register_assert_rewrite(
    f"{__package__ or 'tests.faults'}.cases", f"{__package__ or 'tests.faults'}.stage"
)
