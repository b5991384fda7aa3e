"""Frames of speech and silence -> utterances, as absolute sample indices."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from streamer.settings import CANDIDATE_SILENCE_S, Settings, to_samples


@dataclass(slots=True)
class Segment:
    """A span of sound with speech in it.

    The segmenter moves its end until it is closed; the recogniser its beginning, where it cuts it.

    Attributes:
        start: First sample, pre-roll included.
        speech_stop: End of the last frame of speech so far.
        trailing_pad: How much silence it keeps at its end.
        decode_from: Where decoding may begin: at the start, or for context before a cut.
        stop: End of the segment once it is closed, trailing pad included.
    """

    start: int
    speech_stop: int
    trailing_pad: int
    decode_from: int
    stop: int | None = None


class Segmenter:
    """Decides where utterances begin and end. It never sees the sound.

    In pictures, one character a frame, `#` speech, `[` and `]` where an utterance begins and ends
    (without pre-roll and trailing pad, with a hangover of four frames):

        ..##.####....        one silent frame ends nothing
        ..[##.####]....

    Attributes:
        current: The open segment, if there is one.
    """

    def __init__(self, frame_length: int, settings: Settings) -> None:
        self._frame_length = frame_length
        self._onset_frames = settings.onset_frames
        self._pre_roll = to_samples(settings.pre_roll_s)
        self._min_speech = to_samples(settings.min_speech_s)
        self._recent: deque[bool] = deque(maxlen=settings.onset_window)
        self.current: Segment | None = None
        self.change(settings)
        self.end_at(0)

    def change(self, settings: Settings) -> None:
        """Take other settings for the end of an utterance, from here on."""
        self._end_silence = to_samples(settings.end_silence_s)
        self._candidate_silence = min(self._end_silence, to_samples(CANDIDATE_SILENCE_S))
        self._trailing_pad = to_samples(settings.trailing_pad_s)

    def end_at(self, stop: int) -> None:
        """Close what is open, and go on at the absolute sample `stop`, taking in none before it."""
        if segment := self.current:
            self._close(segment, stop)
        self._index = self._earliest = stop
        self._candidate: Segment | None = None
        self._candidate_speech = 0
        self._recent.clear()

    @property
    def needed_from(self) -> int:
        """First sample that the current or the next segment can still need."""
        if segment := self.current or self._candidate:
            return segment.start
        window = (self._recent.maxlen or 0) * self._frame_length
        return max(self._earliest, self._index - window - self._pre_roll)

    def push(self, is_speech: bool) -> Segment | None:
        """Take in the next frame; returns the segment that it opened, if it did."""
        self._index += self._frame_length
        if segment := self.current:
            if is_speech:
                segment.speech_stop = self._index
            elif self._index - segment.speech_stop >= self._end_silence:
                self._close(segment, self._index)
            return None
        if self._candidate is None:
            self._recent.append(is_speech)
            if sum(self._recent) >= self._onset_frames:
                self._begin_candidate()
        elif is_speech:
            self._candidate.speech_stop = self._index
            self._candidate_speech += self._frame_length
        elif self._index - self._candidate.speech_stop >= self._candidate_silence:
            self._candidate = None
        if self._candidate is not None and self._candidate_speech >= self._min_speech:
            self.current, self._candidate = self._candidate, None
            return self.current
        return None

    def _begin_candidate(self) -> None:
        frames_ago = len(self._recent) - self._recent.index(True)
        onset = self._index - frames_ago * self._frame_length
        start = max(onset - self._pre_roll, self._earliest)
        self._candidate = Segment(start, self._index, self._trailing_pad, decode_from=start)
        self._candidate_speech = sum(self._recent) * self._frame_length
        self._recent.clear()

    def _close(self, segment: Segment, heard: int) -> None:
        segment.stop = min(segment.speech_stop + segment.trailing_pad, heard)
        self._earliest = segment.stop
        self.current = None
