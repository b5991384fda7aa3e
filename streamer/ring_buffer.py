"""The last seconds of sound, addressed by absolute sample index."""

from __future__ import annotations

from collections import deque

import numpy as np

from streamer.audio import Samples


class RingBuffer:
    """Keeps the newest `capacity` samples. Index 0 is the first sample ever appended.

    Samples that were lost have an index, but take no room: however long a gap is, the sound before
    it stays.

    Attributes:
        stop: Index after the newest sample.
    """

    def __init__(self, capacity: int) -> None:
        self._buffer = np.zeros(capacity, np.float32)
        self._n_appended = 0
        # Where sound begins, and how many samples were lost before it; oldest first.
        self._runs: deque[tuple[int, int]] = deque([(0, 0)])
        self.stop = 0

    @property
    def capacity(self) -> int:
        """How many samples fit."""
        return len(self._buffer)

    @property
    def start(self) -> int:
        """Index of the oldest sample that can still be read."""
        oldest = max(0, self._n_appended - self.capacity)
        self._forget(oldest)
        start, n_lost = self._runs[0]
        return max(start, oldest + n_lost)

    def append(self, samples: Samples) -> None:
        """Add samples, shape [n_samples], overwriting the oldest ones."""
        skipped = max(0, len(samples) - self.capacity)
        kept = samples[skipped:]
        at = (self._n_appended + skipped) % self.capacity
        until_edge = min(len(kept), self.capacity - at)
        self._buffer[at : at + until_edge] = kept[:until_edge]
        self._buffer[: len(kept) - until_edge] = kept[until_edge:]
        self._n_appended += len(samples)
        self.stop += len(samples)

    def skip(self, n_samples: int) -> None:
        """Go on `n_samples` later: they were lost, and cannot be read."""
        self.stop += n_samples
        if self._runs[-1][0] == self.stop - n_samples:
            self._runs.pop()  # Nothing was appended since the last gap: it grows.
        self._runs.append((self.stop, self.stop - self._n_appended))
        self._forget(max(0, self._n_appended - self.capacity))

    def read(self, start: int, stop: int) -> Samples:
        """Copy the samples [start, stop).

        Raises:
            IndexError: Some of them are not there yet, or not any more, or were lost: a bug of the
                caller, who must not let more in than there is room for, nor reach across a gap.
        """
        if not self.start <= start <= stop <= self.stop:
            raise IndexError(
                f"Expected a span in [{self.start}, {self.stop}), found [{start}, {stop})."
            )
        n_lost, run_stop = self._run_at(start)
        if stop > max(start, run_stop):
            raise IndexError(f"Expected a span without a gap, found [{start}, {stop}).")
        at = (start - n_lost) % self.capacity
        n_samples = stop - start
        until_edge = min(n_samples, self.capacity - at)
        return np.concatenate(
            [self._buffer[at : at + until_edge], self._buffer[: n_samples - until_edge]]
        )

    def _run_at(self, index: int) -> tuple[int, int]:
        """How many samples were lost before the run of sound that `index` is in, and its end."""
        n_appended = self._n_appended
        for start, n_lost in reversed(self._runs):
            if start <= index:
                break
            n_appended = start - n_lost
        return n_lost, n_appended + n_lost

    def _forget(self, oldest: int) -> None:
        """Drop the runs of which everything was overwritten; `oldest` counts what was appended."""
        while len(self._runs) > 1:
            start, n_lost = self._runs[1]
            if start - n_lost > oldest:
                break
            self._runs.popleft()
