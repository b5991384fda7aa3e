from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import Event, Final, Partial
from streamer.event_queue import EventQueue

PATIENCE_S = 30.0  # Only a failing test waits so long.


def partial(number: int) -> Partial:
    return Partial(
        utterance=number, start_s=0.0, end_s=1.0, stable_text="", unstable_text="", text=""
    )


def final(number: int) -> Final:
    return Final(
        utterance=number, start_s=0.0, end_s=1.0, text="", words=(), latency_s=0.0, model="test"
    )


def queue_of(*events: Event, capacity: int = 3) -> EventQueue:
    queue = EventQueue(capacity)
    for event in events:
        queue.put(event)
    return queue


def rest_of(queue: EventQueue) -> list[Event]:
    """Everything until the end."""
    queue.close()
    return list(iter(queue.get, None))


@contextmanager
def waiting(work: Callable[[], object]) -> Iterator[threading.Event]:
    """A thread that does the work, and must have done it in the end; says when it has."""
    is_done = threading.Event()

    def run() -> None:
        work()
        is_done.set()

    thread = threading.Thread(target=run)
    thread.start()
    yield is_done
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_what_waits_for_room_is_cleared_with_the_rest() -> None:
    queue = queue_of(final(0), capacity=1)
    with waiting(lambda: queue.put(final(1))):
        while not queue._changed._waiters:
            time.sleep(0.001)
        queue.clear()
    queue.put(final(2))
    assert rest_of(queue) == [final(2)]


def test_events_come_out_in_the_order_in_which_they_went_in() -> None:
    events = [partial(0), final(0), partial(1)]
    assert rest_of(queue_of(*events)) == events


def test_when_it_is_full_the_oldest_partial_gives_way() -> None:
    queue = queue_of(final(0), partial(1), partial(2), partial(3), final(3))
    assert rest_of(queue) == [final(0), partial(3), final(3)]


@given(
    events=st.lists(
        st.builds(lambda make, n: make(n), st.sampled_from([partial, final]), st.integers(0, 5))
    ),
    capacity=st.integers(1, 4),
)
def test_finals_are_never_lost_and_the_rest_stays_in_order(
    events: list[Event], capacity: int
) -> None:
    queue = EventQueue(capacity)
    delivered: list[Event] = []
    reader = threading.Thread(target=lambda: delivered.extend(iter(queue.get, None)))
    reader.start()
    for event in events:
        queue.put(event)
    queue.close()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert [e for e in delivered if isinstance(e, Final)] == [
        e for e in events if isinstance(e, Final)
    ]
    remaining = iter(events)
    assert all(any(e is event for event in remaining) for e in delivered)


def test_put_waits_while_it_is_full_of_finals_until_one_is_read() -> None:
    queue = queue_of(final(0), final(1), capacity=2)
    with waiting(lambda: queue.put(final(2))) as is_put:
        assert not is_put.wait(0.05)
        assert queue.get() == final(0)
        assert is_put.wait(PATIENCE_S)
    assert rest_of(queue) == [final(1), final(2)]


def test_a_waiting_put_is_freed() -> None:
    queue = queue_of(final(0), capacity=1)
    with waiting(lambda: queue.put(final(1))) as is_put:
        assert not is_put.wait(0.05)
        queue.free()
        assert is_put.wait(PATIENCE_S)
    queue.put(final(2))  # From now on nothing waits and nothing is lost.
    assert rest_of(queue) == [final(0), final(1), final(2)]


def test_get_waits_for_the_next_event() -> None:
    queue, read = queue_of(), []
    with waiting(lambda: read.append(queue.get())) as is_read:
        assert not is_read.wait(0.05)
        queue.put(final(0))
    assert read == [final(0)]


def test_closing_ends_a_waiting_get() -> None:
    queue, read = queue_of(), []
    with waiting(lambda: read.append(queue.get())):
        queue.close()
    assert read == [None]


def test_what_is_in_a_closed_queue_can_still_be_read() -> None:
    queue = queue_of(final(0))
    queue.close()
    queue.close()
    assert [queue.get(), queue.get(), queue.get()] == [final(0), None, None]


def test_poll_gives_what_is_there() -> None:
    queue = queue_of(final(0))
    queue.close()
    assert queue.poll(pytest.fail) == (True, final(0))
    assert queue.poll(pytest.fail) == (True, None)


@pytest.mark.parametrize("happens", ["put", "close"])
def test_poll_wakes_once_when_it_is_worth_asking_again(happens: str) -> None:
    queue, woken = queue_of(), []
    assert queue.poll(lambda: woken.append(threading.current_thread())) == (False, None)
    assert woken == []
    with waiting(lambda: queue.put(final(0)) if happens == "put" else queue.close()):
        pass
    assert len(woken) == 1
    assert woken[0] is not threading.current_thread()
    assert queue.poll(pytest.fail) == (True, final(0) if happens == "put" else None)
    queue.put(final(1))
    assert len(woken) == 1


def test_reading_by_poll_makes_room() -> None:
    queue = queue_of(final(0), capacity=1)
    with waiting(lambda: queue.put(final(1))):
        assert queue.poll(pytest.fail) == (True, final(0))
    assert rest_of(queue) == [final(1)]
