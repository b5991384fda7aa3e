"""The listening side: sound in, utterances and gaps out.

The VAD and the segmenter cost microseconds a frame, so this runs where the sound arrives and knows
an endpoint at once, even while the model is busy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from streamer.audio import Samples
from streamer.config import Settings, to_samples
from streamer.ring_buffer import RingBuffer
from streamer.segmenter import Segment, Segmenter
from streamer.vad import Vad


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples [start, stop) were lost."""

    start: int
    stop: int
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The device was gone from the sample `at` on."""

    at: int
    device: str


class Listener:
    """VAD, segmenter and ring buffer, and what they found that nobody has dealt with yet.

    Attributes:
        pending: Segments, gaps and losses in the order in which they began. Only the last segment
            can be open. Whoever deals with the first one removes it.
        ring: The sound.
        heard: Where the VAD has got to. Always at a frame's edge until the sound ends: so nothing
            depends on how the sound was cut into blocks.
        n_dropped: Samples lost so far.
        finished: No more sound will come.
    """

    def __init__(self, settings: Settings) -> None:
        self._vad = Vad(settings)
        self._segmenter = Segmenter(self._vad.frame_length, settings)
        self._new_gap: Gap | None = None
        self.pending: deque[Segment | Gap | Lost] = deque()
        self.ring = RingBuffer(to_samples(settings.ring_s))
        self.heard = 0
        self.n_dropped = 0
        self.finished = False

    @property
    def frame_length(self) -> int:
        """Samples in a VAD frame."""
        return self._vad.frame_length

    @property
    def n_needed(self) -> int:
        """Samples in the ring that an utterance, unfinished or still to come, can need."""
        unfinished = (item.start for item in self.pending if isinstance(item, Segment))
        return self.ring.stop - min(next(unfinished, self.ring.stop), self._segmenter.needed_from)

    def room(self) -> int:
        """How many samples can be pushed without overwriting what is needed."""
        return self.ring.capacity - self.n_needed

    def push(self, samples: Samples) -> None:
        """Take in samples, shape [n_samples]; the caller sees to it that there is room."""
        self._report_gap()
        self.ring.append(samples)
        while self.heard + self.frame_length <= self.ring.stop:
            frame = self.ring.read(self.heard, self.heard + self.frame_length)
            self.heard += self.frame_length
            if segment := self._segmenter.push(self._vad.push(frame)):
                self.pending.append(segment)

    def skip(self, n_samples: int, reason: str) -> None:
        """Go on `n_samples` later: they were lost. Speech before the gap ends there."""
        gap_start = self.ring.stop
        if self._new_gap is not None and self._new_gap.reason == reason:
            gap_start = self._new_gap.start  # Still the same gap: it is reported when it is over.
        else:
            self._report_gap()
            self._segmenter.flush(self.ring.stop)
        self.ring.skip(n_samples)
        self.n_dropped += n_samples
        self.heard = self.ring.stop
        self._segmenter.restart(self.heard)
        self._new_gap = Gap(gap_start, self.ring.stop, reason)

    def lose(self, device: str) -> None:
        """The device is gone. Speech before that ends there."""
        self._report_gap()
        self._segmenter.flush(self.ring.stop)
        self.pending.append(Lost(self.ring.stop, device))

    def finish(self) -> None:
        """The sound is over. Speech that has not ended ends here."""
        self._report_gap()
        self.heard = self.ring.stop
        self._segmenter.flush(self.ring.stop)
        self.finished = True

    def _report_gap(self) -> None:
        if self._new_gap is not None:
            self.pending.append(self._new_gap)
            self._new_gap = None
