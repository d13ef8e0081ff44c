"""How much comes in at a time: bytes in a second, and connections in all and to each host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymirror.credentials import Credentials
from pymirror.errors import InterruptedRunError, TransientRequestError
from pymirror.rate import BURST_SECONDS, Rate
from pymirror.spec.model import Network
from pymirror.transport import Transport
from pymirror.workers import Stop
from tests.index import Answer, Gate, LocalIndex

BODY = bytes(range(256)) * 400  # 102,400 bytes
RATE = 100_000


class Clock:
    """A monotonic clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Dream(Stop):
    """Sleeps without waiting."""

    def __init__(self) -> None:
        self.fake = Clock()
        super().__init__(clock=self.fake)

    def sleep(self, seconds: float) -> None:
        self.check()
        self.fake.now += seconds


# ── the bucket ──────────────────────────────────────────────────────────────────────────────────────


def test_what_was_not_used_is_had_at_once_and_no_more_than_a_second_of_it() -> None:
    clock = Clock()
    rate = Rate(1000, clock=clock)

    assert rate.take(1000) == 0.0
    assert rate.take(500) == pytest.approx(0.5)
    clock.now += 0.5
    assert rate.take(1) == pytest.approx(0.001)
    clock.now += 3600
    assert rate.take(1000) == 0.0
    assert rate.take(1) == pytest.approx(0.001)


Steps = list[tuple[int, float]]


@given(st.integers(1, 10_000), st.lists(st.tuples(st.integers(0, 50_000), st.floats(0, 5)), max_size=60))
def test_no_more_comes_than_the_rate_allows_whenever_it_is_looked_at(bytes_per_second: int, steps: Steps) -> None:
    """Each step takes some bytes, waits as long as it is told to, and then for a while of its own."""
    clock = Clock()
    rate = Rate(bytes_per_second, clock=clock)
    let_through: list[tuple[float, int]] = []
    for size, pause in steps:
        clock.now += rate.take(size)
        let_through.append((clock.now, size))
        clock.now += pause
    for number, (start, _) in enumerate(let_through):
        came = 0
        for moment, size in let_through[number:]:
            came += size
            # The first of a span was paid for before the span began: by its own size at most.
            allowed = (moment - start + BURST_SECONDS) * bytes_per_second + let_through[number][1]
            assert came <= allowed * (1 + 1e-9) + 1e-6


# ── over the network ────────────────────────────────────────────────────────────────────────────────


def fetch(transport: Transport, url: str, *, timeout_seconds: float = 60) -> list[int]:
    """The sizes of the pieces in which the body comes."""
    with transport.get(url, headers={}, timeout_seconds=timeout_seconds) as answer:
        return [len(chunk) for chunk in answer.stored_chunks()]


def open_transport(stop: Stop, network: Network) -> Transport:
    return Transport(network, Credentials([], {}), stop)


@pytest.fixture
def big(index: LocalIndex) -> str:
    """The URL of what has so many bytes."""
    index.fail_always("/big", Answer(200, BODY))
    return f"{index.origin}/big"


def test_bodies_come_at_the_rate_over_all_connections(big: str) -> None:
    stop = Dream()
    transport = open_transport(stop, Network(max_rate=RATE))

    threads = [threading.Thread(target=fetch, args=(transport, big)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    transport.close()
    # On the fake clock all the waiting is one after the other, though in truth it is at the same time.
    assert stop.fake.now - 1000 >= 4 * len(BODY) / RATE - BURST_SECONDS


def test_bodies_of_one_connection_take_exactly_their_time(big: str) -> None:
    stop = Dream()
    transport = open_transport(stop, Network(max_rate=RATE))

    pieces = [fetch(transport, big) for _ in range(10)]

    transport.close()
    assert sum(map(sum, pieces)) == 10 * len(BODY)
    assert stop.fake.now - 1000 == pytest.approx(10 * len(BODY) / RATE - BURST_SECONDS)


def test_nothing_is_waited_for_when_there_is_no_rate(big: str) -> None:
    stop = Dream()
    transport = open_transport(stop, Network())

    assert sum(fetch(transport, big)) == len(BODY)

    transport.close()
    assert stop.fake.now == 1000


def test_a_body_is_read_in_smaller_pieces_when_the_rate_is_low(big: str) -> None:
    transport = open_transport(Dream(), Network(max_rate=RATE, connections=4))

    pieces = fetch(transport, big)

    transport.close()
    assert (sum(pieces), max(pieces) <= RATE / 4) == (len(BODY), True)


def test_the_wait_for_the_rate_takes_no_time_of_the_request(big: str) -> None:
    """It takes some 40 s by the clock, and may take 3: nearly all is waiting."""
    stop = Dream()
    transport = open_transport(stop, Network(max_rate=RATE // 40))

    assert sum(fetch(transport, big, timeout_seconds=3)) == len(BODY)

    transport.close()
    assert stop.fake.now > 1030


def test_a_request_ends_in_its_time_when_it_waits_for_the_server(index: LocalIndex) -> None:
    stop = Dream()

    def late(_handler: object) -> Answer:
        stop.fake.now += 10
        return Answer(200, BODY)

    index.fail("/late", late)
    transport = open_transport(stop, Network(max_rate=RATE * 1000))

    with pytest.raises(TransientRequestError, match="longer than 3 s"):
        fetch(transport, f"{index.origin}/late", timeout_seconds=3)

    transport.close()


def test_the_wait_for_the_rate_ends_when_the_run_does(index: LocalIndex, big: str) -> None:
    stop = Stop()
    transport = open_transport(stop, Network(max_rate=1000, connections=1))
    ended: list[BaseException] = []
    begun = threading.Event()

    def run() -> None:
        try:
            with transport.get(big, headers={}, timeout_seconds=3600) as answer:
                begun.set()
                list(answer.stored_chunks())  # 100 s
        except InterruptedRunError as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(20)
    stop.set()
    thread.join(20)

    assert len(ended) == 1
    transport.close()


# ── connections ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def other() -> Iterator[LocalIndex]:
    """Another host: another port."""
    with LocalIndex() as local:
        yield local


def held(gate: Gate) -> Callable[[object], Answer]:
    """An answer that comes when the gate is opened."""

    def answer(handler: object) -> Answer:
        gate(handler)
        return Answer(200)

    return answer


def start(work: Callable[[str], object], urls: Sequence[str]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize(("network", "most"), [(Network(connections=3, connections_per_host=2), 3), (Network(), 12)])
def test_no_more_connections_are_used_than_there_may_be_in_all(
    index: LocalIndex, other: LocalIndex, network: Network, most: int
) -> None:
    gate = Gate()
    urls = [f"{each.origin}/page/{number}" for each in (index, other) for number in range(6)]
    for each in (index, other):
        for number in range(6):
            each.fail(f"/page/{number}", held(gate))
    transport = open_transport(Stop(), network)

    def ask(url: str) -> None:
        with transport.get(url, headers={}, timeout_seconds=60):
            pass

    threads = start(ask, urls)
    gate.wait_for(most)
    with pytest.raises(AssertionError):
        gate.wait_for(most + 1, patience_seconds=0.5)
    gate.open()
    for thread in threads:
        thread.join(30)

    assert gate.most == most
    assert len(index.requests()) + len(other.requests()) == 12
    transport.close()


def test_a_slow_host_keeps_no_place_from_another_but_its_own(index: LocalIndex, other: LocalIndex) -> None:
    gate = Gate()
    index.fail("/slow", *[held(gate)] * 6)
    other.fail("/quick", *[Answer(200)] * 8)
    transport = open_transport(Stop(), Network(connections=3, connections_per_host=2))

    def ask(url: str) -> None:
        with transport.get(url, headers={}, timeout_seconds=60):
            pass

    slow = start(ask, [f"{index.origin}/slow"] * 6)
    gate.wait_for(2)
    quick = start(ask, [f"{other.origin}/quick"] * 8)
    for thread in quick:
        thread.join(20)

    assert not any(thread.is_alive() for thread in quick)
    gate.open()
    for thread in slow:
        thread.join(30)
    transport.close()
