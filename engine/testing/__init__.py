"""For tests of code that talks to providers: simulated providers, networks in memory, the cancel sweep, leak checks."""

from .cassette import (
    Cassette as Cassette,
    CassetteError as CassetteError,
    RecordedExchange as RecordedExchange,
    RecordedRead as RecordedRead,
    RecordingNetwork as RecordingNetwork,
)
from .determinism import deterministic_scheduling as deterministic_scheduling
from .exchange import (
    Delay as Delay,
    End as End,
    ScriptedExchange as ScriptedExchange,
    ScriptedServer as ScriptedServer,
    UnexpectedRequestError as UnexpectedRequestError,
)
from .fleet import (
    Fleet as Fleet,
    LoopbackFleet as LoopbackFleet,
    MemoryFleet as MemoryFleet,
)
from .leaks import (
    assert_nothing_left as assert_nothing_left,
    count_open_sockets as count_open_sockets,
    running_tasks as running_tasks,
)
from .network import (
    Handler as Handler,
    MemoryConnection as MemoryConnection,
    MemoryNetwork as MemoryNetwork,
    origin_of as origin_of,
)
from .provider import (
    FleetEvent as FleetEvent,
    RequestsPerMinute as RequestsPerMinute,
    SeenRequest as SeenRequest,
    SimulatedProvider as SimulatedProvider,
    WireName as WireName,
    key_id as key_id,
)
from .replay import ReplayNetwork as ReplayNetwork
from .rows import (
    is_simulatable as is_simulatable,
    sample_environ as sample_environ,
    simulated_row as simulated_row,
)
from .script import (
    Answer as Answer,
    Break as Break,
    Failure as Failure,
    Fault as Fault,
    Insert as Insert,
    Reply as Reply,
    Script as Script,
    StreamError as StreamError,
    StreamFault as StreamFault,
    call_tool as call_tool,
    comments_forever as comments_forever,
    cut as cut,
    echo as echo,
    fail as fail,
    garbage as garbage,
    lorem as lorem,
    refuse as refuse,
    reset as reset,
    say as say,
    stall as stall,
    stream_error as stream_error,
    think_then as think_then,
    truncate as truncate,
)
from .streams import (
    MemoryStream as MemoryStream,
    memory_pair as memory_pair,
)
from .sweep import (
    cancel_at as cancel_at,
    count_checkpoints as count_checkpoints,
    sweep_cancellation as sweep_cancellation,
)
