"""The last seconds of sound, addressed by absolute sample index."""

from __future__ import annotations

import numpy as np

from streamer.audio import Samples


class RingBuffer:
    """Keeps the newest `capacity` samples. Index 0 is the first sample ever appended.

    Attributes:
        stop: Index after the newest sample.
    """

    def __init__(self, capacity: int) -> None:
        self._buffer = np.zeros(capacity, np.float32)
        self.stop = 0

    @property
    def capacity(self) -> int:
        """How many samples fit."""
        return len(self._buffer)

    @property
    def start(self) -> int:
        """Index of the oldest sample that can still be read."""
        return max(0, self.stop - self.capacity)

    def append(self, samples: Samples) -> None:
        """Add samples, shape [n_samples], overwriting the oldest ones."""
        skipped = max(0, len(samples) - self.capacity)
        kept = samples[skipped:]
        at = (self.stop + skipped) % self.capacity
        until_edge = min(len(kept), self.capacity - at)
        self._buffer[at : at + until_edge] = kept[:until_edge]
        self._buffer[: len(kept) - until_edge] = kept[until_edge:]
        self.stop += len(samples)

    def skip(self, n_samples: int) -> None:
        """Go on `n_samples` later: they were lost, and reading them gives zeros."""
        n_zeros = min(n_samples, self.capacity)
        self.stop += n_samples - n_zeros
        self.append(np.zeros(n_zeros, np.float32))

    def read(self, start: int, stop: int) -> Samples:
        """Copy the samples [start, stop).

        Raises:
            IndexError: Some of them are not there yet, or not any more: a bug of the caller,
                who must not let more in than there is room for.
        """
        if not self.start <= start <= stop <= self.stop:
            raise IndexError(
                f"Expected a span in [{self.start}, {self.stop}), found [{start}, {stop})."
            )
        at = start % self.capacity
        n_samples = stop - start
        until_edge = min(n_samples, self.capacity - at)
        return np.concatenate(
            [self._buffer[at : at + until_edge], self._buffer[: n_samples - until_edge]]
        )
