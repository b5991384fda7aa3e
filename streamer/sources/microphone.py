"""Microphones, through PortAudio."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from dataclasses import replace

from streamer.audio import Samples
from streamer.errors import DeviceError, DeviceLostError
from streamer.settings import to_samples
from streamer.sources import Block, DeviceChange, stopped
from streamer.sources.devices import ANSWER_WITHIN_S, NO_ANSWER
from streamer.sources.gaps import GapFinder, asleep_s, now_s
from streamer.sources.recorder import Ended, Failed, Gone, Message, Opened, Recorder, Sound

logger = logging.getLogger(__name__)

POLL_S = 0.1
# A sound server may take seconds to wake a device up, but once awake it does not pause. One that
# is stopped for a shorter time delivers everything afterwards.
FIRST_SOUND_WITHIN_S = 10.0
NEXT_SOUND_WITHIN_S = 5.0
END_WITHIN_S = 1.0  # of a thread that PortAudio may not let go
LEAST_SLEEP_S = 1.0

GONE = "the device was gone"
SLEPT = "the computer was asleep"
SILENT = "the device delivered none"

MUTED_AFTER_S = 10.0  # A microphone that is not muted has some noise, always.
ONLY_ZEROS = "nothing but zeros: the microphone is muted, or another input is the default"


class Microphone:
    """Captures from an input device, at 16 kHz mono where it can, else as the device does.

    Reads from PortAudio's buffer, which is filled outside Python: nothing is lost while Python is
    busy for a moment.

    A device that is gone, or has delivered nothing for 5 s, is a `DeviceLost`; the utterance in
    progress is finished. The device is then looked for until it is back, a `DeviceRestored`: the
    one of the same name, or, if none was chosen, whatever is the default one by then, at whatever
    rate it has. Times go on by the clock; the time between is an `AudioDropped`. So is all sound
    that was lost for another reason, a computer that was asleep for example. Sound that only came
    late, from a sound server that was stopped for a while, is not lost.

    PortAudio knows only those devices that were there when it began. To find others it is ended
    and begun again, unless your application has imported `sounddevice` itself: then its streams go
    on, and only a device that PortAudio knows already can be found again.

    Every call of PortAudio is made by one thread, `streamer-microphone`. When a sound server does
    not answer, `stop` and `close` end all the same, and leave that thread behind until it does.
    """

    live = True

    def __init__(
        self, device: int | str | None = None, *, reconnect_within_s: float = math.inf
    ) -> None:
        """Choose a device.

        Args:
            device: Its index or part of its name; None takes the default one.
            reconnect_within_s: How long to look for it when it is lost, before `DeviceLostError`
                ends the stream. 0 does not look for it at all.
        """
        if not reconnect_within_s >= 0.0:
            raise ValueError(
                f"Expected reconnect_within_s of at least 0, found {reconnect_within_s}."
            )
        self.name = "microphone" if device is None else str(device)
        self._wanted = device
        self._reconnect_within_s = reconnect_within_s
        self._stopping = threading.Event()
        self._stopped_at_s = 0.0
        self._recorder: Recorder | None = None
        self._was_open = False

    def open(self) -> None:
        """Begin to capture.

        Raises:
            DeviceError: PortAudio, or the device, cannot be used.
            RuntimeError: It was stopped before, after it had been open.
        """
        if self._was_open and self._stopping.is_set():
            raise stopped("The microphone")
        self._gaps = GapFinder()
        self._ready: deque[Block | DeviceChange] = deque()  # to be read
        self._reason = SILENT  # for which sound is missing, if some is
        self._asleep_s = asleep_s()
        self._has_heard = False
        self._n_zeros: int | None = 0  # since the beginning; None when that is told, or other sound
        self._is_lost = False
        self._has_ended = False
        self._waited_s = 0.0  # for the recorder to end
        self._silent_s = 0.0  # since the last sound, or since the device is lost
        self._recorder = Recorder(self._wanted)
        self._recorder.start()
        while not self._stopping.is_set():
            message = self._next_message()
            if isinstance(message, Opened):
                self.name = self._name_next = message.device
                self._silent_s = 0.0
                self._was_open = True
                return
            if isinstance(message, Failed):
                raise message.error
            if self._silent_s > ANSWER_WITHIN_S:
                self._recorder.stop()
                raise DeviceError(NO_ANSWER)
        self._recorder.stop()  # `stop` may have been called before there was one.

    def read(self) -> Block | DeviceChange | None:
        """Wait for the next block, or for what becomes of the device; None soon after `stop`.

        Raises:
            DeviceLostError: It is gone, and was not back in time.
        """
        while not self._ready:
            if self._has_ended:
                return None
            if self._is_lost and self._silent_s >= self._reconnect_within_s:
                raise DeviceLostError(
                    f"The input device {self.name} is gone. Check that it is connected."
                )
            self._take(self._next_message())
        return self._ready.popleft()

    def stop(self) -> None:
        """End the sound here; from any thread. What was captured is still delivered."""
        if not self._stopping.is_set():
            self._stopped_at_s = now_s()
            self._stopping.set()
        if self._recorder is not None:
            self._recorder.stop()

    def close(self) -> None:
        """Give the device back."""
        if self._recorder is not None:
            self._recorder.stop()
            self._recorder.join(END_WITHIN_S)

    def _next_message(self) -> Message | None:
        """The recorder's next message, or None if there is none for a moment."""
        assert self._recorder is not None
        before_s = time.monotonic()
        try:
            return self._recorder.messages.get(timeout=POLL_S)
        except queue.Empty:
            # Nobody looked if it took longer: this process was stopped, or the computer is busy.
            self._silent_s += min(time.monotonic() - before_s, 2 * POLL_S)
            return None

    def _take(self, message: Message | None) -> None:
        asleep_before_s, self._asleep_s = self._asleep_s, asleep_s()
        if self._asleep_s - asleep_before_s > LEAST_SLEEP_S:
            self._reason = SLEPT
        if isinstance(message, Sound):
            if len(message.samples):
                self._silent_s = 0.0
                self._has_heard = True
                self._watch_zeros(message.samples)
                self._deliver(self._gaps.push(message.samples, message.at_s, self._reason))
        elif isinstance(message, Gone):
            self._deliver(self._gaps.end(message.at_s, self._reason))
            self._lose(GONE)
        elif isinstance(message, Opened):
            self._name_next = message.device
        elif isinstance(message, Failed):
            raise message.error
        elif isinstance(message, Ended) or self._is_end_overdue():
            self._deliver(self._gaps.end(self._stopped_at_s, self._reason))
            self._has_ended = True
        elif not self._is_lost:
            limit_s = NEXT_SOUND_WITHIN_S if self._has_heard else FIRST_SOUND_WITHIN_S
            if self._silent_s > limit_s:
                self._lose(SILENT)

    def _watch_zeros(self, samples: Samples) -> None:
        """Say once that nothing is heard, if nothing was from the beginning."""
        if self._n_zeros is None:
            return
        self._n_zeros = None if samples.any() else self._n_zeros + len(samples)
        if self._n_zeros is not None and self._n_zeros > to_samples(MUTED_AFTER_S):
            logger.warning("For %.0f s there is %s.", MUTED_AFTER_S, ONLY_ZEROS)
            self._n_zeros = None

    def _is_end_overdue(self) -> bool:
        """Whether PortAudio does not let the recorder go, which was told to end."""
        if self._stopping.is_set():
            self._waited_s += POLL_S
        return self._waited_s > END_WITHIN_S

    def _lose(self, reason: str) -> None:
        if self._reason != SLEPT:
            self._reason = reason
        if not self._is_lost:
            self._is_lost = True
            self._silent_s = 0.0
            self._ready.append(DeviceChange(self.name, is_back=False))

    def _deliver(self, block: Block | None) -> None:
        """Have a block read; if it is the first since the device was lost, the device is back."""
        if block is None:
            return
        # What was missed asleep may only be missed by the next block: that one was there before.
        if block.n_lost or self._reason != SLEPT:
            self._reason = SILENT
        if self._is_lost and len(block.samples):
            self._is_lost = False
            self.name = self._name_next
            if block.n_lost:
                self._ready.append(replace(block, samples=block.samples[:0]))
            self._ready.append(DeviceChange(self.name, is_back=True))
            block = replace(block, n_lost=0)
        if block.n_lost or len(block.samples):
            self._ready.append(block)
