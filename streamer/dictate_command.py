"""`streamer dictate`: events -> edits -> a window, the clipboard, a file or a command."""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any

from streamer.captions import notice
from streamer.control import Control, NoSocketError
from streamer.dictation import Delete, Dictation, Edit, Insert, Mode
from streamer.errors import TypingError
from streamer.events import Event
from streamer.outputs import drawing_on, say
from streamer.settings import TextStyle
from streamer.sources import Source
from streamer.transcriber import Transcriber
from streamer.typing_tools import Command, KeptError, Stream, Target, TextFile, target

TICK_S = 0.2


def goal_of(options: argparse.Namespace) -> Target:
    """Where the text goes.

    Raises:
        TypingError: It cannot go there; says what is missing.
    """
    if options.exec is not None:
        return Command(options.exec)
    if options.file is not None:
        return TextFile(options.file)
    return target(options.to)


def dictation_of(options: argparse.Namespace, mode: Mode) -> Dictation:
    """How words become edits.

    Raises:
        ValueError: A replacement cannot be used.
    """
    style = TextStyle(
        numbers=options.numbers, language=options.language, sentence_ends=options.sentence_ends
    )
    return Dictation(
        style,
        mode=mode,
        allow_newlines=options.enter,
        replacements=options.replace,
        marks=options.marks,
    )


def mode_of(options: argparse.Namespace, goal: Target) -> Mode:
    """What is typed when: where nothing can be taken back, what is final."""
    if not goal.can_delete:
        return Mode.FINAL
    return Mode.LIVE if options.live else Mode.STABLE


def told(transcriber: Transcriber) -> Iterator[Event]:
    """The events, and on stderr what somebody who does not see them should know of."""
    is_loading = True
    for event in transcriber.ticking(TICK_S):
        if is_loading and not transcriber.is_loading:
            is_loading = False
            say("The model is ready.")
        if event is None:
            continue
        if text := notice(event):
            say(text)
        yield event


def write(events: Iterable[Event], dictation: Dictation, goal: Target) -> bool:
    """Write what is said; returns whether the goal took it all.

    If it fails, what it did not take and all that is said afterwards goes to stdout.
    """
    first_goal = goal
    with contextlib.ExitStack() as drawing:
        _begin(goal, drawing)
        for event in events:
            edits = dictation.push(event)
            pieces = edits if goal.can_delete else _whole(edits)
            for i, edit in enumerate(pieces):
                try:
                    _apply(edit, goal)
                except TypingError as error:
                    if isinstance(goal, Stream):
                        raise
                    goal = Stream(sys.stdout)
                    say(f"{error} From here on what you say is {goal.description}.")
                    _begin(goal, drawing)
                    if not goal.can_delete:
                        dictation.mode = Mode.FINAL
                    for left in pieces[i:]:
                        _apply(left, goal)
                    break
    return goal is first_goal


def _begin(goal: Target, drawing: contextlib.ExitStack) -> None:
    """Keep messages out of the lines of stdout, and end the last one whatever happens."""
    if isinstance(goal, Stream):
        drawing.callback(goal.finish)
        if goal.can_delete:
            drawing.enter_context(drawing_on(goal))


def _apply(edit: Edit, goal: Target) -> None:
    if isinstance(edit, Insert):
        goal.insert(edit.text)
    elif isinstance(edit, Delete):
        if not goal.can_delete:
            say(f"What is {goal.description} cannot be taken back.")
            return
        try:
            goal.delete(edit.n_characters)
        except KeptError as error:
            say(str(error))
    else:
        goal.enter()


def _whole(edits: list[Edit]) -> list[Edit]:
    """The edits of one final with one piece of text: a command is not run for each line of it."""
    deletes: list[Edit] = [edit for edit in edits if isinstance(edit, Delete)]
    rest = [edit for edit in edits if not isinstance(edit, Delete)]
    text = "".join(edit.text if isinstance(edit, Insert) else "\n" for edit in rest)
    return [*deletes, Insert(text.removeprefix(" "))] if text else deletes


class Switch:
    """Pauses and resumes a transcriber by the socket and by SIGUSR1, where there are any."""

    def __init__(self, transcriber: Transcriber, source: Source) -> None:
        self._transcriber = transcriber
        self._source = source
        self._control = Control(self._obey) if hasattr(socket, "AF_UNIX") else None
        self._previous: Any = None

    def __enter__(self) -> Switch:
        if self._control is not None:
            try:
                self._control.__enter__()
            except NoSocketError as error:
                self._control = None
                say(str(error))
        if hasattr(signal, "SIGUSR1"):
            self._previous = signal.signal(signal.SIGUSR1, self._toggle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, self._previous)
        if self._control is not None:
            self._control.__exit__(kind, error, traceback)

    def _toggle(self, _number: int, _frame: FrameType | None) -> None:
        # Not here: the main thread may be in the middle of writing to stderr.
        threading.Thread(
            target=self._obey, args=("toggle",), name="streamer-toggle", daemon=True
        ).start()

    def _obey(self, order: str) -> str:
        actions: dict[str, Callable[[], None]] = {
            "start": self._transcriber.resume,
            "stop": self._transcriber.pause,
            "quit": self._source.stop,
            "status": lambda: None,
        }
        was_paused = self._transcriber.is_paused
        if order == "toggle":
            order = "start" if was_paused else "stop"
        actions[order]()
        state = "paused" if self._transcriber.is_paused else "listening"
        if order != "status" and was_paused != self._transcriber.is_paused:
            say(f"{state.capitalize()}.")
        return "ending" if order == "quit" else state
