"""The bounded queue between the inference thread and whoever reads the events."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable

from streamer.events import Event, Partial


class EventQueue:
    """Events from one thread to another; nothing but partials is ever left out.

    When it is full, the oldest partial in it gives way: a newer one says the same and more. When
    there is none, `put` waits, and so does, in the end, the source.
    """

    def __init__(self, capacity: int) -> None:
        """Hold up to `capacity` events."""
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()
        self._is_freed = False
        self._n_cleared = 0
        self._is_closed = False
        self._wakes: list[Callable[[], None]] = []

    def put(self, event: Event) -> None:
        """Add an event; waits while the queue is full. `clear` throws away what waits, too."""
        with self._changed:
            n_cleared = self._n_cleared
            while len(self._events) >= self._capacity and not self._is_freed:
                if not self._give_way():
                    self._changed.wait()
            if n_cleared == self._n_cleared:
                self._events.append(event)
                self._notify()

    def free(self) -> None:
        """Let no `put` wait from now on: sound has ended, what still comes is little."""
        with self._changed:
            self._is_freed = True
            self._notify()

    def clear(self) -> None:
        """Throw away what nobody has read."""
        with self._changed:
            self._events.clear()
            self._n_cleared += 1
            self._notify()

    def close(self) -> None:
        """No event will come after those that are in the queue."""
        with self._changed:
            self._is_closed = True
            self._notify()

    def get(self) -> Event | None:
        """Wait for the next event; None when there will be no more."""
        with self._changed:
            # With a time limit, because on Windows Ctrl-C does not interrupt an endless wait.
            while not self._events and not self._is_closed:
                self._changed.wait(0.5)
            return self._take()

    def wait(self, timeout_s: float) -> bool:
        """Wait until `get` would not, or so long; returns whether it would not."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._events) or self._is_closed, timeout_s)

    def poll(self, wake: Callable[[], None]) -> tuple[bool, Event | None]:
        """As `get`, but instead of waiting returns (False, None) and calls `wake` later.

        `wake` is called once, from another thread, when it is worth asking again.
        """
        with self._changed:
            if not self._events and not self._is_closed:
                self._wakes.append(wake)
                return False, None
            return True, self._take()

    def forget(self, wake: Callable[[], None]) -> None:
        """Do not call what `poll` was given, if it has not been called yet."""
        with self._changed, contextlib.suppress(ValueError):
            self._wakes.remove(wake)

    def _take(self) -> Event | None:
        if not self._events:
            return None
        event = self._events.popleft()
        self._changed.notify_all()
        return event

    def _give_way(self) -> bool:
        for event in self._events:
            if isinstance(event, Partial):
                self._events.remove(event)
                return True
        return False

    def _notify(self) -> None:
        self._changed.notify_all()
        wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()
