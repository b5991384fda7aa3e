"""`streamer captions`: events to the screen, keys from it, until the sound ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from streamer.captions import QUIETEST_DB, Status
from streamer.config import BEHIND_S
from streamer.events import Event, Final, Lagging
from streamer.interruption import INTERRUPTED, Interruption
from streamer.keys import Keys
from streamer.outputs import Outputs, say
from streamer.sources import Source
from streamer.transcriber import Transcriber

TICK_S = 0.2
N_LEVELS = 8
KEYS = "space pause · m mark · c clear · q quit"


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
        say(f"Listening to {source.name} while the model loads. Ctrl-C ends.")
        then()
        view = _View(transcriber, source, outputs, KEYS if keys.works else "")
        has_quit = False
        marks: list[float] = []
        for event in transcriber.ticking(TICK_S):
            # A mark stands before the sentence in which it was set, and behind all before it.
            while marks and isinstance(event, Final) and marks[0] <= event.end_s:
                outputs.mark(marks.pop(0))
            if event is not None:
                outputs.write(event)
            elif transcriber.statistics().waiting_s == 0.0:
                while marks:
                    outputs.mark(marks.pop(0))
            for key in keys.pressed():
                if key in " p":
                    (transcriber.resume if transcriber.is_paused else transcriber.pause)()
                elif key == "m":
                    marks.append(transcriber.statistics().captured_s)
                elif key == "c" and outputs.screen is not None:
                    outputs.screen.clear()
                elif key == "q":
                    has_quit = True
                    source.stop()
            view.update(event, has_marks=bool(marks))
        for mark in marks:
            outputs.mark(mark)
    return INTERRUPTED if interruption.happened and not has_quit else 0


class _View:
    """What the status line tells."""

    def __init__(
        self, transcriber: Transcriber, source: Source, outputs: Outputs, keys: str
    ) -> None:
        self._transcriber = transcriber
        self._screen = outputs.screen
        self._source = source
        self._keys = keys
        self._levels = deque([QUIETEST_DB] * N_LEVELS, maxlen=N_LEVELS)
        self._model = ""
        self._latency_s: float | None = None
        self._lag_s: float | None = None
        self._is_catching_up = False
        self.update(None)

    def update(self, event: Event | None, *, has_marks: bool = False) -> None:
        """Show what is so now; None when nothing happened but time."""
        if self._screen is None:
            return
        transcriber = self._transcriber
        if isinstance(event, Final):
            self._model, self._latency_s = event.model, event.latency_s
        elif isinstance(event, Lagging):
            is_behind, keeps_up = event.lag_s > BEHIND_S, event.rtf < 1.0
            self._is_catching_up = is_behind and keeps_up
            self._lag_s = event.lag_s if is_behind and not keeps_up else None
        elif event is None:
            paused = transcriber.is_paused
            self._levels.append(QUIETEST_DB if paused else transcriber.level_db)
        state = self._state() or "marked" * has_marks
        has_room = state != "paused"  # Then what matters most is the key that goes on.
        self._screen.show(
            Status(
                state=state,
                levels_db=tuple(self._levels),
                device=self._source.name,
                model=self._model if has_room else "",
                latency_s=self._latency_s if has_room else None,
                lag_s=self._lag_s,
                keys=self._keys,
            )
        )

    def _state(self) -> str:
        if self._transcriber.is_paused:
            return "paused"
        if self._transcriber.is_loading:
            return "loading the model"
        return "catching up" if self._is_catching_up else ""
