"""Happy eyeballs: the order, the stagger, the winner, and that nobody stays open."""

from __future__ import annotations

import errno
import socket

import pytest
import trio
import trio.testing

from tercet.codecs.vocabulary import ConnectError
from tercet.engine.runtime.transport.dialing import Address, dial, happy_eyeballs, interleave


class Attempts:
    """Made-up connects: address -> (seconds, error or None). Sockets are real ones that are not connected."""

    def __init__(self, plan: dict[str, tuple[float, int]]) -> None:
        self.plan = plan
        self.started: list[tuple[str, float]] = []
        self.sockets: list[socket.socket] = []

    async def __call__(self, address: Address) -> socket.socket:
        name = address[1][0]
        self.started.append((name, trio.current_time()))
        seconds, code = self.plan[name]
        await trio.sleep(seconds)
        if code:
            raise OSError(code, "made up")
        self.sockets.append(socket.socket())
        return self.sockets[-1]

    @property
    def open(self) -> int:
        return sum(sock.fileno() != -1 for sock in self.sockets)


def addresses(names: str) -> list[Address]:
    return [(socket.AF_INET, (name, 443)) for name in names]


async def test_the_next_address_is_tried_after_the_stagger(autojump_clock: trio.testing.MockClock) -> None:
    attempts = Attempts({"a": (float("inf"), 0), "b": (1.0, 0), "c": (0.9, 0)})
    start = trio.current_time()
    sock, failures = await happy_eyeballs(addresses("abc"), attempts, stagger=0.25)
    assert sock is not None
    assert trio.current_time() - start == pytest.approx(1.25)
    assert [(name, round(at - start, 2)) for name, at in attempts.started] == [
        ("a", 0.0),
        ("b", 0.25),
        ("c", 0.5),
    ]
    assert failures == []
    sock.close()
    assert attempts.open == 0


async def test_a_failure_starts_the_next_at_once(autojump_clock: trio.testing.MockClock) -> None:
    attempts = Attempts({"a": (0.0, errno.ECONNREFUSED), "b": (0.1, errno.ENETUNREACH), "c": (0.0, 0)})
    start = trio.current_time()
    sock, failures = await happy_eyeballs(addresses("abc"), attempts)
    assert sock is not None
    assert trio.current_time() - start == pytest.approx(0.1)
    assert [(address[1][0], error.errno) for address, error in failures] == [
        ("a", errno.ECONNREFUSED),
        ("b", errno.ENETUNREACH),
    ]
    sock.close()


async def test_when_all_fail_each_reason_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    attempts = Attempts({"a": (0.3, errno.ECONNREFUSED), "b": (0.01, errno.ENETUNREACH)})
    sock, failures = await happy_eyeballs(addresses("ab"), attempts)
    assert sock is None
    assert [error.errno for _, error in failures] == [errno.ENETUNREACH, errno.ECONNREFUSED]


async def test_two_winners_leave_one_socket(autojump_clock: trio.testing.MockClock) -> None:
    attempts = Attempts({"a": (0.5, 0), "b": (0.25, 0)})
    sock, _ = await happy_eyeballs(addresses("ab"), attempts, stagger=0.25)
    assert sock is not None
    assert attempts.open == 1
    sock.close()


async def test_cancelled_at_any_time_nothing_is_open(autojump_clock: trio.testing.MockClock) -> None:
    for hundredths in [*(number + 0.5 for number in range(60)), 20, 30, 40]:
        attempts = Attempts({"a": (0.4, 0), "b": (0.1, errno.ECONNREFUSED), "c": (0.2, 0)})
        with trio.move_on_after(hundredths / 100) as scope:
            sock, _ = await happy_eyeballs(addresses("abc"), attempts, stagger=0.2)
            assert sock is not None
            sock.close()
        assert attempts.open == 0
        assert scope.cancelled_caught is (hundredths < 40) or hundredths == 40


def test_families_alternate() -> None:
    four = [(socket.AF_INET, (f"4{name}", 1)) for name in "abc"]
    six = [(socket.AF_INET6, (f"6{name}", 1)) for name in "ab"]
    assert [address[1][0] for address in interleave([*six, *four])] == ["6a", "4a", "6b", "4b", "4c"]
    assert [address[1][0] for address in interleave([*four, *six])] == ["4a", "6a", "4b", "6b", "4c"]
    assert interleave([]) == []


async def test_a_refused_connection_says_so() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening
        port = held.getsockname()[1]
        with pytest.raises(ConnectError, match=r"127\.0\.0\.1: Connection refused") as caught:
            await dial("127.0.0.1", port)
    assert (caught.value.phase, caught.value.code, caught.value.retryable) == ("tcp", "ECONNREFUSED", True)


async def test_both_addresses_and_their_reasons_are_in_the_message() -> None:
    async def resolver(host: str, port: int) -> list[Address]:
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET, ("127.0.0.2", port))]

    with socket.socket() as held:
        held.bind(("0.0.0.0", 0))  # bound, not listening
        with pytest.raises(ConnectError, match=r"127\.0\.0\.1: Conn.*; 127\.0\.0\.2: Conn"):
            await dial("two.test", held.getsockname()[1], resolver=resolver)


async def test_the_second_address_is_used_when_the_first_refuses() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:

        async def resolver(host: str, port: int) -> list[Address]:
            return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET, ("127.0.0.2", port))]

        sock = await dial("two.test", server.getsockname()[1], resolver=resolver)
        assert sock.getpeername()[0] == "127.0.0.2"
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getblocking()
        sock.close()


@pytest.mark.parametrize(
    ("failure", "code", "retryable"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "EAI_NONAME", False),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "EAI_AGAIN", True),
        (UnicodeError("label too long"), None, False),
        (None, None, False),
    ],
)
async def test_a_name_that_has_no_address_is_a_dns_error(
    failure: Exception | None, code: str | None, retryable: bool
) -> None:
    async def resolver(host: str, port: int) -> list[Address]:
        if failure is not None:
            raise failure
        return []

    with pytest.raises(ConnectError, match=r"no\.such\.test") as caught:
        await dial("no.such.test", 443, resolver=resolver)
    assert (caught.value.phase, caught.value.code, caught.value.retryable) == ("dns", code, retryable)
