"""The threaded shell around the core: threads, the event queue, lifecycle, statistics.

Two threads of ours: `streamer-capture` reads the source and listens (VAD, segmenter, ring buffer);
`streamer-inference` does the work and delivers the events. Two more end when the model is ready:
`streamer-load_0` loads it, `streamer-warm-up` compiles its lengths. A microphone has one of its
own. The listener and the recogniser are touched under one lock; the model runs outside of it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import inspect
import logging
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from streamer import models
from streamer.errors import CallbackError, DeviceLostError
from streamer.event_queue import EventQueue
from streamer.events import Closed, Event, Final, Partial, Statistics
from streamer.intake import Intake
from streamer.listener import Listener
from streamer.pipeline import Pipeline
from streamer.recogniser import Model, Recogniser
from streamer.settings import Settings, to_samples
from streamer.sources import Block, DeviceChange, Source

EVENT_CAPACITY = 256  # more than anybody reads in a minute of speech
# Sound servers hold back a tenth of a second, and fingers are quicker than last words.
PAUSE_AFTER_S = 0.3
LONGEST_PAUSE_AFTER_S = 3600.0
# A callback that never returns, or a source that does not stop, must not keep Python from ending. A
# model that computes is waited for: TensorFlow would crash.
EXIT_WITHIN_S = 5.0

logger = logging.getLogger(__name__)
_running: weakref.WeakSet[Transcriber] = weakref.WeakSet()  # since they were started


class Transcriber:
    """Transcribes a source in the background.

    Read its events by iterating, in a thread or in a coroutine, or give callbacks; not both:

        with Transcriber(Microphone()) as transcriber:
            for event in transcriber:
                if isinstance(event, Final):
                    print(event.text)

        transcriber = Transcriber(Microphone(), on_final=print)
        transcriber.start()
        ...
        transcriber.close()

    Callbacks run on the inference thread, one at a time: what takes long delays the next
    transcript. They may call `close` and `cancel`.

    When the reader does not keep up, partials are left out first; then the model waits, then the
    source. A live source cannot: it loses sound and says so with `AudioDropped`, as when the model
    is too slow. A microphone that is unplugged, a sound server that ends and a computer that
    sleeps do not end the stream: see `Microphone`, `DeviceLost`, `DeviceRestored`. Whatever
    happens, `statistics` says what became of every second.

    A failure in a thread or in a callback ends the stream and is raised once: to whoever iterates,
    else by `wait` or `close`. With callbacks it is also logged when it happens.

    A transcriber is for one stream, and so is its source.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        model: str | Path | Model = "auto",
        settings: Settings | None = None,
        on_event: Callable[[Event], object] | None = None,
        on_partial: Callable[[Partial], object] | None = None,
        on_final: Callable[[Final], object] | None = None,
    ) -> None:
        """Prepare; nothing is opened or loaded yet.

        Args:
            source: Where the sound comes from; None is the default microphone.
            model: A name or path for `streamer.models.load`, or a model loaded by it.
            settings: How speech is found and recognised.
            on_event: Called with every event.
            on_partial: Called with every partial.
            on_final: Called with every final.

        Raises:
            TypeError: The source is none, or a callback is a coroutine function.
        """
        if isinstance(source, str | Path):
            raise TypeError(f"Expected a source, as File({str(source)!r}), found a name.")
        for callback in (on_event, on_partial, on_final):
            if callback is None:
                continue
            called = (callback, type(callback).__call__)
            if any(inspect.iscoroutinefunction(function) for function in called):
                raise TypeError(
                    f"Callbacks run on a thread, found the coroutine function {callback!r}. In a "
                    "coroutine, iterate: `async for event in transcriber`."
                )
        if source is None:
            from streamer.sources.microphone import Microphone

            source = Microphone()
        self._source = source
        self._model = model
        self._settings = settings or Settings()
        self._callbacks = (on_event, on_partial, on_final)
        self._has_callbacks = any(self._callbacks)
        self._listener = Listener(self._settings)
        self._recogniser: Recogniser | None = None
        self._changed = threading.Condition()
        self._intake = Intake(self._listener, self._changed, self._settings, is_live=source.live)
        self._events = EventQueue(EVENT_CAPACITY)
        self._lifecycle = threading.RLock()  # `start` is done as a whole before there is an end.
        self._threads: list[threading.Thread] = []
        self._is_started = False
        self._is_closed = False
        self._loaded: Future[Model] = Future()
        self._is_cancelled = False
        self._is_warm = False  # The model's first length is ready,
        self._is_warmed_up = False  # and all others.
        self._is_waited_for = False  # Another one, which there is work for, is not.
        self._has_callback_failed = False
        self._is_calling_back = False
        self._failure: BaseException | None = None

    @staticmethod
    def offline(
        model: str | Path | Model = "auto", *, settings: Settings | None = None
    ) -> Pipeline:
        """A transcriber without threads: push sound, get events; loads the model at once.

        Raises:
            ModelError: The model cannot be found or read.
        """
        settings = settings or Settings()
        return Pipeline(_found(model, settings), settings)

    def load(self, on_progress: Callable[[int, int], object] = lambda done, total: None) -> None:
        """Load the model and make all its lengths ready, in the caller's thread.

        Optional: otherwise it is done in the background while the source is already listening.

        Args:
            on_progress: Called with how many steps of that are done, and how many there are.

        Raises:
            ModelError: The model cannot be found or read.
        """
        model = self._model = _found(self._model, self._settings)

        def keep_going(done: int, total: int) -> bool:
            on_progress(done, total)
            return True

        model.warm_up(keep_going)
        self._is_warm = self._is_warmed_up = True

    def start(self) -> None:
        """Open the source and begin; does nothing when it has begun.

        Raises:
            AudioError: The sound cannot be used.
            DeviceError: The device cannot be used.
        """
        with self._lifecycle:
            if self._is_started:
                return
            if self._is_closed:
                raise RuntimeError("This transcriber was closed before it began. Make a new one.")
            _running.add(self)
            self._source.open()  # If that fails, it may work the next time.
            try:
                self._begin_loading()
                for run, name in ((self._capture, "capture"), (self._infer, "inference")):
                    thread = threading.Thread(target=run, name=f"streamer-{name}", daemon=True)
                    self._threads.append(thread)
                    thread.start()
            except BaseException:  # Python is ending, and lets no thread begin.
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                self._source.stop()
                self._source.close()
                raise
            self._is_started = True

    def _begin_loading(self) -> None:
        """Load the model in a thread that Python waits for before it shuts down.

        Half an import of TensorFlow would crash there.
        """
        if self._is_cancelled:  # while the source was opened
            return
        if not isinstance(self._model, str | Path):
            self._loaded.set_result(self._model)
            return
        loader = ThreadPoolExecutor(1, thread_name_prefix="streamer-load")
        self._loaded = loader.submit(_found, self._model, self._settings)
        loader.shutdown(wait=False)

    def close(self) -> None:
        """End the sound here, finish what was said, and end the threads.

        From any thread, also from a callback (then it does not wait); idempotent. The last events
        can still be read afterwards. A signal handler, which interrupts the main thread anywhere,
        must not wait: let it call the source's `stop`.
        """
        self._finish()
        self._join()

    def cancel(self) -> None:
        """End at once, throwing away what was not delivered yet. Otherwise like `close`.

        A model that is just being loaded is waited for, and a callback that runs.
        """
        self._abandon()
        self._join()

    def wait(self) -> None:
        """Wait until the source has ended and everything is delivered.

        Raises:
            TypeError: There are no callbacks: iterate instead.
            RuntimeError: It was not started.
        """
        if not self._has_callbacks:
            raise TypeError("A transcriber without callbacks is not waited for: iterate.")
        if not self._is_started:
            raise RuntimeError("Expected a transcriber that was started; call `start` first.")
        self._join()

    def change(self, **changes: Any) -> None:
        """Change settings of `streamer.settings.CHANGEABLE` from here on; from any thread.

        For another preset: `change(**PRESETS["dictation"])`.

        Raises:
            ValueError: A setting is not among them, or out of range.
        """
        with self._changed:
            self._settings = self._settings.changed(**changes)
            self._listener.change(self._settings)
            if self._recogniser is not None:
                self._recogniser.change(self._settings)

    def pause(self, after_s: float = PAUSE_AFTER_S) -> None:
        """Listen to nothing from here on; from any thread, also before `start`.

        What was said until now is finished, and its final comes as soon as that is taken in. The
        sound of the time until `resume` is left out, of a file or a pipe, too, which is read on
        meanwhile; nothing of it gets into what is said afterwards.

        Args:
            after_s: So much more sound is taken in, but none before `start`: what was said before
                the call is still on its way through the device and the sound server. With 0 the
                final comes at once, also from a source that delivers nothing more.

        Raises:
            ValueError: That is no time.
        """
        if not 0.0 <= after_s <= LONGEST_PAUSE_AFTER_S:
            raise ValueError(
                f"Expected after_s from 0 to {LONGEST_PAUSE_AFTER_S:g}, found {after_s}."
            )
        with self._changed:
            self._intake.pause(to_samples(after_s) if self._threads else 0)

    def resume(self) -> None:
        """Listen again."""
        with self._changed:
            self._intake.resume()

    @property
    def is_paused(self) -> bool:
        """Whether `pause` was called, and no `resume` since."""
        return self._intake.is_paused

    @property
    def is_loading(self) -> bool:
        """Whether the model is not ready for what is to be recognised; the sound is kept."""
        return (not self._is_warm or self._is_waited_for) and not self._is_cancelled

    @property
    def is_silent(self) -> bool:
        """Whether nothing is being said, and all that was said has been recognised."""
        with self._changed:
            return not self._listener.pending

    @property
    def level_db(self) -> float:
        """How loud it is now, in dB of full scale."""
        return self._listener.level_db

    def statistics(self) -> Statistics:
        """What became of the sound so far."""
        with self._changed:
            statistics = (self._recogniser or self._listener).statistics()
            if self._is_cancelled:  # What waits, waits in vain.
                dropped_s = statistics.dropped_s + statistics.waiting_s
                statistics = replace(statistics, dropped_s=dropped_s, waiting_s=0.0)
            return statistics

    def __enter__(self) -> Transcriber:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; after an exception, cancel."""
        if error is None:
            self.close()
            return
        with contextlib.suppress(Exception):  # The exception under way is the one to see.
            self.cancel()

    def __iter__(self) -> Iterator[Event]:
        """Every event until the end, which is `Closed`."""
        self._begin_reading()
        while (event := self._events.get()) is not None:
            yield event
        self._join()

    def ticking(self, every_s: float) -> Iterator[Event | None]:
        """Every event until the end, and None whenever none has come for so long.

        For a reader that has other things to do in between, as to show how loud it is.
        """
        self._begin_reading()
        while True:
            if not self._events.wait(every_s):
                yield None
            elif (event := self._events.get()) is None:
                break
            else:
                yield event
        self._join()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Every event until the end, for coroutines; no thread of its own waits for them."""
        return _Reader(self, self._events)

    async def __aenter__(self) -> Transcriber:
        """Start, without holding up the event loop meanwhile."""
        try:
            await asyncio.to_thread(self.start)
        except asyncio.CancelledError as error:  # The thread goes on to start it.
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; after an exception, cancel. The event loop goes on meanwhile."""
        # First, and here: all threads of the loop may be waiting for sources to open.
        if error is None:
            self._finish()
        else:
            self._abandon()
        await asyncio.to_thread(self.__exit__, kind, error, traceback)

    def _begin_reading(self) -> None:
        if self._has_callbacks:
            raise TypeError("A transcriber with callbacks cannot be iterated; choose one.")
        self.start()

    def _join(self) -> None:
        if threading.current_thread() in self._threads:
            return
        with self._lifecycle:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        with self._changed:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _finish(self) -> None:
        """Have the sound end here."""
        self._is_closed = True
        try:
            self._source.stop()
        except Exception as error:  # Raised like any other failure, when all threads have ended.
            self._fail(error)
        self._events.free()

    def _abandon(self) -> None:
        """Have everything end at once."""
        self._stop_working()
        self._finish()
        self._events.clear()

    def _stop_working(self) -> None:
        """Neither recognise nor wait for anything any more."""
        with self._changed:
            self._is_cancelled = True
            self._intake.abandon()
            self._changed.notify_all()

    def _end_by(self, deadline_s: float) -> None:
        """Wait for the threads, but beyond a moment of the clock for no callback and no source."""
        for thread in list(self._threads):
            while thread.is_alive():
                is_foreign = self._is_calling_back or thread.name == "streamer-capture"
                if is_foreign and time.monotonic() > deadline_s:
                    break
                thread.join(0.05)

    def _fail(self, error: BaseException) -> None:
        """Remember the first failure, and wake everybody up."""
        with self._changed:
            is_first = self._failure is None
            self._failure = self._failure or error
            self._changed.notify_all()
        if is_first and self._has_callbacks:  # Nobody may ask for long.
            logger.error("The transcriber has stopped: %s", str(error) or type(error).__name__)

    # The capture thread.

    def _capture(self) -> None:
        lost_device: str | None = None
        try:
            while (delivered := self._source.read()) is not None and not self._is_cancelled:
                if isinstance(delivered, Block):
                    self._intake.take(delivered)
                elif isinstance(delivered, DeviceChange):
                    self._change_device(delivered)
                else:
                    raise TypeError(
                        f"Expected a Block, a DeviceChange or None from the source "
                        f"{self._source.name}, found {type(delivered).__name__}."
                    )
        except DeviceLostError as error:
            lost_device = self._source.name
            self._fail(error)
        except BaseException as error:
            self._fail(error)
        finally:
            with self._changed:
                self._listener.finish(lost_device)
                self._changed.notify_all()
            try:
                self._source.close()  # A device may take its time, for which no final waits.
            except BaseException as error:
                self._fail(error)

    def _change_device(self, change: DeviceChange) -> None:
        with self._changed:
            if change.is_back:
                self._listener.restore(change.device)
            else:
                self._listener.lose(change.device)
            self._changed.notify_all()

    # The inference thread.

    def _infer(self) -> None:
        warm_up: threading.Thread | None = None
        try:
            if self._is_cancelled and self._loaded.cancel():
                return  # Nothing is being loaded yet.
            model = self._model = self._loaded.result()
            warm_up = threading.Thread(
                target=self._warm_up, args=(model,), name="streamer-warm-up", daemon=True
            )
            warm_up.start()
            with self._changed:
                self._recogniser = Recogniser(
                    self._listener, model, self._settings, is_live=self._source.live
                )
            self._recognise(self._recogniser, model)
        except BaseException as error:
            self._give_up(error)
        finally:
            if warm_up is not None:
                warm_up.join()
            self._say_closed()
            self._events.close()

    def _warm_up(self, model: Model) -> None:
        """Make the model's lengths ready while they may still be needed."""

        def keep_going(n_done: int, _: int) -> bool:
            self._is_warm = n_done > 0
            return not (self._listener.finished or self._is_cancelled)

        try:
            model.warm_up(keep_going)
            self._is_warm = self._is_warmed_up = True
        except BaseException as error:
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        """Nothing more can be recognised: end the sound, and throw away what waits."""
        self._fail(error)
        self._stop_working()
        self._finish()

    def _recognise(self, recogniser: Recogniser, model: Model) -> None:
        while True:
            with self._changed:
                while True:
                    work = recogniser.next_work()
                    events = recogniser.take_events()
                    is_over = self._is_cancelled or (self._listener.finished and work is None)
                    if work or events or is_over:
                        break
                    self._changed.wait()
                self._changed.notify_all()  # Settled utterances have made room.
            for event in events:
                if self._is_cancelled:  # perhaps by a callback
                    return
                self._deliver(event)
            if is_over:
                return
            if work is None or events:
                continue  # While somebody read those, better work may have come.
            self._is_waited_for = not (self._is_warm and model.is_ready(len(work.samples)))
            is_warmed_up = self._is_warmed_up  # Otherwise the call may wait for that.
            began = time.perf_counter()
            words = recogniser.run(work)
            took_s = time.perf_counter() - began
            self._is_waited_for = False
            with self._changed:
                recogniser.complete(work, words, took_s if is_warmed_up else None)
                self._changed.notify_all()

    def _deliver(self, event: Event) -> None:
        if not self._has_callbacks:
            self._events.put(event)
            return
        on_event, on_partial, on_final = self._callbacks
        self._is_calling_back = True
        try:
            if on_event:
                on_event(event)
            if on_partial and isinstance(event, Partial):
                on_partial(event)
            if on_final and isinstance(event, Final):
                on_final(event)
        except BaseException as error:
            self._has_callback_failed = True
            if not isinstance(error, Exception):  # as of `sys.exit`
                raise
            raise CallbackError(f"A callback raised {type(error).__name__}: {error}.") from error
        finally:
            self._is_calling_back = False

    def _say_closed(self) -> None:
        if self._has_callback_failed:
            return  # A callback that raised is not called again.
        try:
            self._deliver(Closed(statistics=self.statistics()))
        except BaseException as error:
            self._fail(error)


def _found(model: str | Path | Model, settings: Settings) -> Model:
    """The model itself, loaded if it was only named."""
    if isinstance(model, str | Path):
        return models.load(model, jit_compile=settings.jit_compile, precision=settings.precision)
    return model


class _Reader:
    """Reads the events of a transcriber in coroutines.

    A call that was cancelled, as by a time limit, has taken nothing.
    """

    def __init__(self, transcriber: Transcriber, events: EventQueue) -> None:
        self._transcriber = transcriber
        self._events = events
        # What takes its time goes on, and may fail, when a call is cancelled meanwhile.
        self._begun: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._begun is None:
            begin = self._transcriber._begin_reading
            self._begun = asyncio.ensure_future(asyncio.to_thread(begin))
        await asyncio.shield(self._begun)
        while True:
            is_ready, event = await self._next()
            if event is not None:
                return event
            if is_ready:
                break
        if self._ended is None:
            self._ended = asyncio.ensure_future(asyncio.to_thread(self._transcriber._join))
        await asyncio.shield(self._ended)
        raise StopAsyncIteration

    async def _next(self) -> tuple[bool, Event | None]:
        """What `EventQueue.poll` gives; when that is nothing yet, after a wait."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits.
                loop.call_soon_threadsafe(ready.set)

        is_ready, event = self._events.poll(wake)
        if not is_ready:
            try:
                await ready.wait()
            finally:
                self._events.forget(wake)
        return is_ready, event


@atexit.register
def _end_with_python() -> None:
    """A forgotten transcriber must not keep TensorFlow running while Python shuts down."""
    forgotten = list(_running)
    for transcriber in forgotten:
        with contextlib.suppress(Exception):  # of its source
            transcriber._abandon()
    deadline_s = time.monotonic() + EXIT_WITHIN_S
    for transcriber in forgotten:
        transcriber._end_by(deadline_s)
