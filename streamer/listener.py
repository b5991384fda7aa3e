"""The listening side: sound in, utterances and gaps out.

The VAD and the segmenter cost microseconds a frame, so this runs where the sound arrives and knows
an endpoint at once, even while the model is busy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from streamer.audio import Samples
from streamer.events import DeviceLost, DeviceRestored, Statistics
from streamer.ring_buffer import RingBuffer
from streamer.segmenter import Segment, Segmenter
from streamer.settings import Settings, to_samples, to_seconds
from streamer.vad import Vad


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples [start, stop) were lost, or, without a reason, left out because nobody listens."""

    start: int
    stop: int
    reason: str | None


class Listener:
    """VAD, segmenter and ring buffer, and what they found that nobody has dealt with yet.

    Attributes:
        pending: Segments, gaps, and what became of the device, in the order in which they began.
            Only the last segment can be open. Whoever deals with the first one removes it.
        ring: The sound.
        heard: Where the VAD has got to. Its frames begin anew behind a gap and where the device is
            lost, else nothing depends on how the sound was cut into blocks.
        n_dropped: Samples lost so far.
        n_paused: Samples left out so far.
        finished: No more sound will come.
    """

    def __init__(self, settings: Settings) -> None:
        self._vad = Vad(settings)
        self._segmenter = Segmenter(self._vad.frame_length, settings)
        self._context = to_samples(settings.context_s)
        self._gap: Gap | None = None  # that sound is being lost in, as long as it grows
        self._is_lost = False
        self.pending: deque[Segment | Gap | DeviceLost | DeviceRestored] = deque()
        self.ring = RingBuffer(to_samples(settings.ring_s))
        self.heard = 0
        self.n_dropped = 0
        self.n_paused = 0
        self.finished = False

    @property
    def frame_length(self) -> int:
        """Samples in a VAD frame."""
        return self._vad.frame_length

    @property
    def level_db(self) -> float:
        """How loud it is now, in dB of full scale."""
        return self._vad.level_db

    @property
    def captured(self) -> int:
        """Where the sound has got to, lost samples included."""
        return self.ring.stop

    @property
    def n_waiting(self) -> int:
        """Samples of sound, lost ones not counted, that an utterance can still need."""
        unfinished = (item.start for item in self.pending if isinstance(item, Segment))
        next_start = self._segmenter.needed_from
        return self.n_since(min(next(unfinished, next_start), next_start))

    def n_since(self, start: int) -> int:
        """Samples of sound from `start` on, those lost in gaps not yet dealt with not counted."""
        gaps = [item for item in self.pending if isinstance(item, Gap)]
        if self._gap is not None:
            gaps.append(self._gap)
        n_lost = sum(gap.stop - gap.start for gap in gaps if gap.start >= start)
        return self.captured - start - n_lost

    def statistics(self, n_recognised: int = 0) -> Statistics:
        """What became of the sound so far, of which so many samples were recognised."""
        waiting = self.n_waiting
        n_known = n_recognised + self.n_dropped + self.n_paused + waiting
        return Statistics(
            captured_s=to_seconds(self.captured),
            recognised_s=to_seconds(n_recognised),
            silence_s=to_seconds(self.captured - n_known),
            dropped_s=to_seconds(self.n_dropped),
            paused_s=to_seconds(self.n_paused),
            waiting_s=to_seconds(waiting),
        )

    def change(self, settings: Settings) -> None:
        """Take other settings for the end of an utterance, from here on."""
        self._segmenter.change(settings)

    def room(self) -> int:
        """How many samples can be pushed without overwriting what is needed, and its context."""
        return self.ring.capacity - self.n_waiting - self._context

    def push(self, samples: Samples) -> None:
        """Take in samples, shape [n_samples]; the caller sees to it that there is room."""
        self._report_gap()
        self.ring.append(samples)
        while self.heard + self.frame_length <= self.ring.stop:
            frame = self.ring.read(self.heard, self.heard + self.frame_length)
            self.heard += self.frame_length
            if segment := self._segmenter.push(self._vad.push(frame)):
                self.pending.append(segment)

    def skip(self, n_samples: int, reason: str | None) -> None:
        """Go on `n_samples` later: they were lost. Speech before the gap ends there.

        Without a reason they were not lost, but left out.
        """
        self._end_segment()
        if self._gap is None or self._gap.reason != reason:
            self._report_gap()
            self._gap = Gap(self.captured, self.captured, reason)
        self._gap = replace(self._gap, stop=self._gap.stop + n_samples)
        if reason is None:
            self.n_paused += n_samples
        else:
            self.n_dropped += n_samples
        self.ring.skip(n_samples)
        self._end_segment()  # once more: what follows begins behind the gap

    def lose(self, device: str) -> None:
        """The device is gone. Speech that goes on ends here."""
        if not self._is_lost:
            self._is_lost = True
            self._end_segment()
            self._report_gap()
            self.pending.append(DeviceLost(device=device, at_s=to_seconds(self.captured)))

    def restore(self, device: str) -> None:
        """There is a device again."""
        self._is_lost = False
        self._end_segment()
        self._report_gap()
        self.pending.append(DeviceRestored(device=device, at_s=to_seconds(self.captured)))

    def finish(self, lost_device: str | None = None) -> None:
        """The sound is over, perhaps because the device is gone. Speech that goes on ends here."""
        self._end_segment()
        self._report_gap()
        if lost_device is not None:
            self.lose(lost_device)
        self.finished = True

    def _report_gap(self) -> None:
        if self._gap is not None:
            self.pending.append(self._gap)
            self._gap = None

    def _end_segment(self) -> None:
        """Close what is open here, and take in nothing of what was heard until now any more."""
        self.heard = self.ring.stop
        self._segmenter.end_at(self.heard)
