"""The decisions the engine waits for, as machines that do not wait.

Each takes the time as an argument (``now``, seconds of a monotonic clock) and chance too (``random``, numbers from [0, 1)); none awaits, reads a clock
or knows of tasks. So each is tested by telling it a thousand made-up seconds, and each is safe to ask from one thread at a time.

::

    admission   may this process take the work on?           BackpressureController
    routing     which targets, in which order?               Route, Target, order
    breaker     is it any use to ask this one?               CircuitBreaker
    limiter     may it be asked now?                         AdaptiveRateLimiter
    budget      may this part of the program use more?       Budget
    clocks      how patiently?                               Clocks
    hedging     is it time to ask a second one?              HedgePolicy, HedgeBudget
    outcome     what became of it, and whose fault was it?   Outcome, classify
    retry       what now?                                    RetryPolicy, RetryBudget
    health      how is it doing?                             HealthMonitor
    metrics     what happened?                               ProviderMetrics
"""

from .admission import (
    Admission as Admission,
    BackpressureController as BackpressureController,
    BackpressureSnapshot as BackpressureSnapshot,
    Refused as Refused,
)
from .backoff import (
    MIN_WAIT as MIN_WAIT,
    Random as Random,
    full_jitter as full_jitter,
    grown as grown,
)
from .breaker import (
    BreakerSnapshot as BreakerSnapshot,
    BreakerState as BreakerState,
    CircuitBreaker as CircuitBreaker,
    Pass as Pass,
)
from .budget import Budget as Budget, BudgetSnapshot as BudgetSnapshot, Reservation as Reservation
from .clocks import Clocks as Clocks
from .health import HealthMonitor as HealthMonitor
from .hedging import HedgeBudget as HedgeBudget, HedgePolicy as HedgePolicy
from .limiter import (
    AdaptiveRateLimiter as AdaptiveRateLimiter,
    Lease as Lease,
    LimiterSnapshot as LimiterSnapshot,
    Permit as Permit,
)
from .metrics import (
    Histogram as Histogram,
    HistogramSnapshot as HistogramSnapshot,
    MetricsSnapshot as MetricsSnapshot,
    ProviderMetrics as ProviderMetrics,
)
from .outcome import (
    Outcome as Outcome,
    OutcomeKind as OutcomeKind,
    classify as classify,
)
from .retry import (
    Decision as Decision,
    FailOver as FailOver,
    GiveUp as GiveUp,
    Retry as Retry,
    RetryBudget as RetryBudget,
    RetryPolicy as RetryPolicy,
)
from .routing import (
    Facts as Facts,
    Route as Route,
    Strategy as Strategy,
    Target as Target,
    TargetFacts as TargetFacts,
    order as order,
)
