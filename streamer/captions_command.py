"""`streamer captions`: events to the screen, keys from it, until the sound ends."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from streamer.captions import NO_NAME, QUIETEST_DB, Status, is_slow
from streamer.events import DeviceLost, DeviceRestored, Event, Final, Lagging
from streamer.interruption import INTERRUPTED, Interruption
from streamer.keys import Keys
from streamer.outputs import Outputs, say
from streamer.settings import BEHIND_S
from streamer.sources import Source
from streamer.transcriber import Transcriber

TICK_S = 0.2
N_LEVELS = 8
MARKS_APART_S = 1.0  # They say the second.
KEYS = ("space pause · m mark · c clear · q quit", "space pause · q quit", "q quit")
KEYS_PAUSED = ("space go on · m mark · c clear · q quit", "space go on · q quit", "space go on")


def show(
    transcriber: Transcriber, source: Source, outputs: Outputs, then: Callable[[], None]
) -> int:
    """Caption a source; returns the exit status.

    Args:
        transcriber: Not started yet.
        source: What it transcribes.
        outputs: Where the captions go.
        then: Called when it listens: before that there may be an error to be said, and that alone.
    """
    with (
        Keys() as keys,
        Interruption(source, before_exit=keys.restore) as interruption,
        transcriber,
    ):
        say(f"Listening to {_called(source)} while the model loads. Ctrl-C ends.")
        then()
        view = _View(transcriber, source, outputs, has_keys=keys.works)
        has_quit = False
        marks = _Marks(outputs.mark)
        for event in transcriber.ticking(TICK_S):
            if keys.was_stopped:
                keys.was_stopped = False
                if outputs.screen is not None:
                    outputs.screen.redraw()
            marks.write_due(event, is_silent=transcriber.is_silent)
            if event is not None:
                outputs.write(event)
            for key in keys.pressed():
                if key in " p":
                    (transcriber.resume if transcriber.is_paused else transcriber.pause)()
                elif key == "m":
                    marks.set(transcriber.statistics().captured_s)
                elif key == "c" and outputs.screen is not None:
                    outputs.screen.clear()
                elif key == "q":
                    has_quit = True
                    source.stop()
            view.update(event, has_marks=marks.are_waiting)
        marks.write_all()
    return INTERRUPTED if interruption.happened and not has_quit else 0


def _called(source: Source, article: str = "the ") -> str:
    """What a source is called, where it has a name of its own."""
    return f"{article}microphone" if source.name == NO_NAME else source.name


class _Marks:
    """Marks that were set and wait until all that was said before them is written.

    So a mark stands before the sentence in which it was set.
    """

    def __init__(self, write: Callable[[float], object]) -> None:
        self._write = write
        self._waiting: deque[float] = deque()  # when each was set, in seconds
        self._last_s = -MARKS_APART_S
        self._n_silent = 0  # ticks

    @property
    def are_waiting(self) -> bool:
        """Whether one was set and is not written."""
        return bool(self._waiting)

    def set(self, at_s: float) -> None:
        """Set one, unless there is one for the same second."""
        if at_s - self._last_s >= MARKS_APART_S:
            self._waiting.append(at_s)
            self._last_s = at_s

    def write_due(self, event: Event | None, *, is_silent: bool) -> None:
        """Write those whose turn it is.

        Args:
            event: The newest; None when nothing happened but a tick's time.
            is_silent: Whether nothing is being said. In the first tick of silence the last
                sentence may still be on its way here.
        """
        self._n_silent = self._n_silent + 1 if event is None and is_silent else 0
        until_s = event.end_s if isinstance(event, Final) else -math.inf
        self._write_until(math.inf if self._n_silent > 1 else until_s)

    def write_all(self) -> None:
        """Write what waits: nothing more is said."""
        self._write_until(math.inf)

    def _write_until(self, until_s: float) -> None:
        while self._waiting and self._waiting[0] <= until_s:
            self._write(self._waiting.popleft())


class _View:
    """What the status line tells."""

    def __init__(
        self, transcriber: Transcriber, source: Source, outputs: Outputs, *, has_keys: bool
    ) -> None:
        self._transcriber = transcriber
        self._screen = outputs.screen
        self._source = source
        self._has_keys = has_keys
        self._levels = deque([QUIETEST_DB] * N_LEVELS, maxlen=N_LEVELS)
        self._model = ""
        self._latency_s: float | None = None
        self._lagging: Lagging | None = None  # as long as it is behind
        self._is_lost = False
        self.update(None)

    def update(self, event: Event | None, *, has_marks: bool = False) -> None:
        """Show what is so now; None when nothing happened but time."""
        if self._screen is None:
            return
        is_paused = self._transcriber.is_paused
        if isinstance(event, Final):
            self._model, self._latency_s = event.model, event.latency_s
        elif isinstance(event, DeviceLost | DeviceRestored):
            self._is_lost = isinstance(event, DeviceLost)
        elif isinstance(event, Lagging):
            self._lagging = event if event.lag_s > BEHIND_S else None
        elif event is None:
            is_deaf = is_paused or self._is_lost
            self._levels.append(QUIETEST_DB if is_deaf else self._transcriber.level_db)
        lagging = self._lagging
        # In a pause what matters most is the key that goes on: it has the room of the model.
        self._screen.show(
            Status(
                state=self._state(has_marks),
                levels_db=tuple(self._levels),
                device=_called(self._source, article=""),
                model="" if is_paused else self._model,
                latency_s=None if is_paused else self._latency_s,
                lag_s=lagging.lag_s if lagging and is_slow(lagging) else None,
                keys=(KEYS_PAUSED if is_paused else KEYS) if self._has_keys else (),
            )
        )

    def _state(self, has_marks: bool) -> str:
        if self._transcriber.is_paused:
            return "paused"
        if self._is_lost:
            return "waiting for the microphone"
        if self._transcriber.is_loading:
            return "loading the model"
        if self._lagging and not is_slow(self._lagging):
            return "catching up"
        return "marked" if has_marks else ""
