"""Many seeds of the simulation: ``TERCET_SIM_SEEDS`` of them (30), from ``TERCET_SIM_FIRST`` (1000) on. A failure names its seed, and
``TERCET_SIM_SEED`` repeats it in tests/simulation.
"""

from __future__ import annotations

import os

import pytest

from tercet.engine.testing.simulation import run_simulation
from tercet.engine.testing.weather import plan

FIRST = int(os.environ.get("TERCET_SIM_FIRST", "1000"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("TERCET_SIM_SEEDS", "30")))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed_holds(seed: int) -> None:
    # each seed has its own density: from a request every second to so many that the gate refuses some
    report = run_simulation(plan(seed, 250, a_second=(1.0, 10.0, 40.0)[seed % 3]))
    assert not report.violations, (
        f"seed {seed}: {len(report.violations)} violations, the first: {report.violations[0]}"
    )
