"""Taking sound in: what is left out, who waits for room, and what is lost where there is none."""

from __future__ import annotations

import math
import threading
import time

from streamer.audio import Converter
from streamer.listener import Listener
from streamer.settings import SAMPLE_RATE, Settings, to_samples
from streamer.sources import Block

# Once sound was lost because too much of it waits, so much must fit before more is taken in, or as
# much as the longest piece: whole phrases can be recognised, shreds of words cannot.
PHRASE_S = 5.0
# A live source delivers more at once than this only after a stop, of the program or the sound
# server. Then it waits for the model, as long as what is said meanwhile is kept elsewhere.
BACKLOG_S, BACKLOG_WAITS_S = 1.0, 10.0

OVERLOAD = "the model does not keep up"


class Intake:
    """Hands the blocks of a source to a listener.

    All but `take` is called with the lock held.
    """

    def __init__(
        self,
        listener: Listener,
        changed: threading.Condition,
        settings: Settings,
        *,
        is_live: bool,
    ) -> None:
        """Begin.

        Args:
            listener: Who hears the blocks.
            changed: Its lock; it is notified when there is more to do, and waited for to have made
                room.
            settings: How long a piece is.
            is_live: The source cannot wait: what finds no room is lost.
        """
        self._listener = listener
        self._changed = changed
        self._is_live = is_live
        self._phrase = to_samples(min(PHRASE_S, settings.longest_piece_s))
        self._converter = Converter(SAMPLE_RATE)
        self._n_until_pause: int | None = None  # samples still to be heard; None without a pause
        self._is_overloaded = False
        self._is_abandoned = False

    @property
    def is_paused(self) -> bool:
        """Whether `pause` was called, and no `resume` since."""
        return self._n_until_pause is not None

    def pause(self, after: int) -> None:
        """Hear so many samples more, and then nothing."""
        is_earlier = self._n_until_pause is None or after < self._n_until_pause
        if is_earlier:
            self._n_until_pause = after
        if is_earlier and after == 0:  # No block need come to end what is being said.
            self._listener.skip(0, None)
            self._changed.notify_all()

    def resume(self) -> None:
        """Hear again what comes."""
        self._n_until_pause = None

    def abandon(self) -> None:
        """Wait for nothing any more."""
        self._is_abandoned = True

    def take(self, block: Block) -> None:
        """Take in a block: wait for room, lose what has none, leave out what is paused.

        Raises:
            AudioError: The samples cannot be used.
        """
        listener = self._listener
        sound = self._converter.push(block.samples)  # Whoever made it, it is sound from here on.
        until_s = time.monotonic() + self._patience_s(len(sound))
        with self._changed:
            if block.n_lost:
                self._skip(block.n_lost, block.reason)
            # In slices: a block of any length finds room in the end.
            for start in range(0, len(sound), listener.frame_length):
                samples = sound[start : start + listener.frame_length]
                if self._n_until_pause == 0:
                    listener.skip(len(samples), None)
                    continue
                self._come_closer_to_pause(len(samples))
                self._wait_for_room(len(samples), until_s)
                if self._is_abandoned:
                    return
                least = self._phrase if self._is_overloaded else len(samples)
                self._is_overloaded = listener.room() < least
                if self._is_overloaded:
                    listener.skip(len(samples), OVERLOAD)
                else:
                    listener.push(samples)
            if listener.pending:  # While nobody speaks, nobody is woken up.
                self._changed.notify_all()

    def _patience_s(self, n_samples: int) -> float:
        """How long a block may wait for room."""
        if not self._is_live:
            return math.inf
        return BACKLOG_WAITS_S if n_samples > to_samples(BACKLOG_S) else 0.0

    def _wait_for_room(self, n_samples: int, until_s: float) -> None:
        while self._listener.room() < n_samples and not self._is_abandoned:
            left_s = until_s - time.monotonic()
            if left_s <= 0.0:
                return
            self._changed.notify_all()
            self._changed.wait(min(left_s, threading.TIMEOUT_MAX))

    def _skip(self, n_samples: int, reason: str | None) -> None:
        """Go on so much later; what lies in a pause was not lost."""
        n_lost = n_samples if self._n_until_pause is None else min(n_samples, self._n_until_pause)
        if n_lost:
            self._listener.skip(n_lost, reason)
            self._come_closer_to_pause(n_lost)
        if n_lost < n_samples:
            self._listener.skip(n_samples - n_lost, None)

    def _come_closer_to_pause(self, n_samples: int) -> None:
        if self._n_until_pause is not None:
            self._n_until_pause = max(0, self._n_until_pause - n_samples)
