"""What is missing in a live sound, found by the clock."""

from __future__ import annotations

import sys
import time

import numpy as np

from streamer.audio import Samples
from streamer.settings import to_samples, to_seconds
from streamer.sources import Block

# How much later than usual sound may come without anything being missing: a device and a sound
# server deliver in pieces of up to 0.1 s.
TOLERANCE_S = 0.15
# Sound that was kept somewhere comes faster than it is spoken. What has not come after so long
# will not come any more.
SETTLE_S = 1.0
DRIFT = 1e-3  # A sound card's clock and the computer's differ by less.


def now_s() -> float:
    """A clock that also runs while the computer is asleep, where there is one."""
    return time.monotonic() + asleep_s()


def asleep_s() -> float:
    """How long the computer has been asleep, as far as `time.monotonic` does not know of it.

    Only differences mean something.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    if sys.platform == "darwin":
        raw, awake = time.CLOCK_MONOTONIC_RAW, time.CLOCK_UPTIME_RAW
        return time.clock_gettime(raw) - time.clock_gettime(awake)
    return 0.0


class GapFinder:
    """Compares how much sound has come with how much time has passed.

    Sound that was only delayed, by a busy computer or a stopped sound server, comes in a burst
    afterwards, and nothing is missing. When samples were lost, all that follows stays late.
    So what comes late is held back until one or the other is certain, and a gap is reported where
    the sound stopped.

    Attributes:
        n_heard: Samples delivered so far, lost ones included: where the sound has got to.
    """

    def __init__(self) -> None:
        self.n_heard = 0
        self._began_s: float | None = None
        self._at_s = 0.0
        self._usual_s = 0.0
        self._held: list[Samples] = []
        self._n_held = 0
        # While something is held back: how long, since we last asked whether it is still a burst.
        self._window_s = 0.0
        self._window_late_s = 0.0
        self._least_late_s = 0.0

    def push(self, samples: Samples, at_s: float, reason: str) -> Block | None:
        """Take in sound that came at `at_s`, by a clock that never stops.

        Returns:
            What was heard since the last block, after what was lost; None while it is not certain
            whether something was. `reason` is for the loss, if there is one.
        """
        if self._began_s is None:
            self._began_s = self._at_s = at_s - to_seconds(len(samples))
        self._held.append(samples)
        self._n_held += len(samples)
        late_s = self._late_s(at_s)
        since_s, self._at_s = at_s - self._at_s, at_s
        if late_s <= self._usual_s + TOLERANCE_S:
            self._usual_s = min(late_s, self._usual_s + DRIFT * min(since_s, SETTLE_S))
            return self._release(0, reason)
        if len(self._held) == 1:
            self._begin_window(late_s)
            return None
        self._least_late_s = min(self._least_late_s, late_s)
        self._window_s += min(since_s, SETTLE_S / 10)  # Where nothing comes, nothing settles.
        if self._window_s < SETTLE_S:
            return None
        if self._window_late_s - self._least_late_s > SETTLE_S / 2:
            self._begin_window(self._least_late_s)  # The burst goes on.
            return None
        return self._release(to_samples(self._least_late_s - self._usual_s), reason)

    def end(self, at_s: float, reason: str) -> Block:
        """No more sound comes, for now or for ever: what is held back, after what is missing."""
        if self._began_s is None:
            return self._release(0, reason)
        if self._held:
            missing_s = self._least_late_s - self._usual_s
        else:  # The newest sound is still on its way.
            missing_s = self._late_s(at_s) - self._usual_s
            missing_s = missing_s if missing_s > SETTLE_S else 0.0
        return self._release(to_samples(missing_s), reason)

    def _late_s(self, at_s: float) -> float:
        assert self._began_s is not None
        return at_s - self._began_s - to_seconds(self.n_heard + self._n_held)

    def _begin_window(self, late_s: float) -> None:
        self._window_s = 0.0
        self._window_late_s = self._least_late_s = late_s

    def _release(self, n_lost: int, reason: str) -> Block:
        held, self._held, self._n_held = self._held, [], 0
        samples = np.concatenate([np.zeros(0, np.float32), *held])
        self.n_heard += n_lost + len(samples)
        return Block(samples, n_lost, reason)
