"""The threaded shell: the same finals as the core, whatever the threads do."""

import asyncio
import functools
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from event_guarantees import check_event_guarantees, check_sum

from streamer import (
    AudioDropped,
    AudioError,
    CallbackError,
    Closed,
    DeviceLost,
    DeviceLostError,
    DeviceRestored,
    Event,
    File,
    Final,
    Lagging,
    ModelError,
    Partial,
    Pipeline,
    Settings,
    SpeechStarted,
    Statistics,
    StreamerError,
    Transcriber,
)
from streamer.audio import Samples
from streamer.decoder import DecodedWord, Heard
from streamer.event_queue import EventQueue
from streamer.models.compiled import CompiledModel
from streamer.recogniser import Recogniser, Work
from streamer.sources import Block, DeviceChange

SETTINGS = Settings()
SMALL_RING = Settings(ring_s=38.5, partials=False)
TWO_SENTENCES_S = 6.5  # of the sample; the second ends at 5.7 s
BLOCK = 1_600


class Sound:
    """A source that delivers given samples, then an error or the end; or it stays open."""

    def __init__(
        self,
        samples: Samples,
        *,
        live: bool = False,
        failure: StreamerError | None = None,
        stays_open: bool = False,
    ) -> None:
        self.name = "sound"
        self.live = live
        self.is_closed = False
        self.delivered = threading.Event()  # everything there is was read
        self._blocks = [samples[at : at + BLOCK] for at in range(0, len(samples), BLOCK)]
        self._failure = failure
        self._stays_open = stays_open
        self._stopping = threading.Event()

    def open(self) -> None:
        pass

    def read(self) -> Block | None:
        if self._blocks:
            return Block(self._blocks.pop(0))
        self.delivered.set()
        if self._failure is not None:
            raise self._failure
        if self._stays_open:
            self._stopping.wait()
        return None

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        self.is_closed = True


class Gated:
    """A model that waits for a gate before each call, or fails."""

    def __init__(self, model: CompiledModel, failure: Exception | None = None) -> None:
        self.name, self.labels = model.name, model.labels
        self.grid, self.longest = model.grid, model.longest
        self.stable_lag_s, self.needs_context = model.stable_lag_s, model.needs_context
        self.noise_gate = model.noise_gate
        self.gate = threading.Event()
        self.called = threading.Event()
        self._model = model
        self._failure = failure

    def hear(self, utterance: Samples) -> Heard:
        self.called.set()
        self.gate.wait()
        if self._failure is not None:
            raise self._failure
        return self._model.hear(utterance)

    def is_ready(self, n_samples: int) -> bool:
        return True

    def warm_up(self, keep_going: Callable[[int, int], bool]) -> None:
        pass


def finals(events: list[Event]) -> list[Final]:
    """The finals, without what depends on the machine: the latency, and marks of stable words."""
    return [
        replace(
            event, latency_s=0.0, words=tuple(replace(word, written="") for word in event.words)
        )
        for event in events
        if isinstance(event, Final)
    ]


def read_until_error(transcriber: Transcriber) -> tuple[list[Event], StreamerError | None]:
    """All events, and the error that came after them."""
    events: list[Event] = []
    try:
        for event in transcriber:
            events.append(event)  # What came before an error is wanted.
    except StreamerError as error:
        return events, error
    return events, None


@pytest.fixture(scope="module")
def speech(sample: Samples) -> Samples:
    return sample[: round(TWO_SENTENCES_S * 16_000)]


@pytest.fixture(scope="module")
def expected(starter: CompiledModel, speech: Samples) -> list[Final]:
    pipeline = Pipeline(starter, SETTINGS)
    found = finals(pipeline.push(speech) + pipeline.flush())
    assert len(found) == 2
    return found


@pytest.fixture(scope="module")
def twice(sample: Samples) -> Samples:
    """More sound than the small ring holds."""
    return np.concatenate([sample, sample])


@pytest.fixture(scope="module")
def finals_of_twice(starter: CompiledModel, twice: Samples) -> list[Final]:
    pipeline = Pipeline(starter, SMALL_RING)
    return finals(pipeline.push(twice) + pipeline.flush())


@pytest.mark.parametrize("live", [False, True])
def test_finals_are_those_of_the_core(
    starter: CompiledModel, speech: Samples, expected: list[Final], live: bool
) -> None:
    with Transcriber(Sound(speech, live=live), model=starter) as transcriber:
        events = list(transcriber)
    check_event_guarantees(events)
    assert finals(events) == expected
    assert isinstance(events[-1], Closed)
    statistics = events[-1].statistics
    assert statistics.captured_s == TWO_SENTENCES_S
    assert statistics.waiting_s == 0


def test_a_coroutine_reads_the_same_events(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    async def read() -> list[Event]:
        return [event async for event in Transcriber(Sound(speech), model=starter)]

    events = asyncio.run(read())
    assert finals(events) == expected
    assert isinstance(events[-1], Closed)


def test_a_coroutine_that_waits_only_so_long_misses_nothing(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    model = Gated(starter)

    async def read() -> list[Event]:
        events: list[Event] = []
        async with Transcriber(Sound(speech), model=model) as transcriber:
            reader = aiter(transcriber)
            while not events or not isinstance(events[-1], Closed):
                try:
                    events.append(await asyncio.wait_for(anext(reader), 0.01))
                except asyncio.TimeoutError:
                    model.gate.set()  # One has waited in vain.
            with pytest.raises(StopAsyncIteration):
                await anext(reader)
        return events

    assert finals(asyncio.run(read())) == expected


def test_a_source_that_is_slow_to_open_does_not_hold_up_coroutines(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    class Slow(Sound):
        opened = threading.Event()

        def open(self) -> None:
            assert self.opened.wait(30)

    async def read() -> list[Event]:
        source = Slow(speech)
        transcriber = Transcriber(source, model=starter)
        reading = asyncio.ensure_future(read_all(transcriber))
        await asyncio.sleep(0.01)
        assert not reading.done()
        source.opened.set()
        return await reading

    async def read_all(transcriber: Transcriber) -> list[Event]:
        return [event async for event in transcriber]

    assert finals(asyncio.run(read())) == expected


def test_a_cancelled_task_ends_its_transcriber(starter: CompiledModel, speech: Samples) -> None:
    source = Sound(speech, stays_open=True)

    async def read() -> None:
        async with Transcriber(source, model=starter) as transcriber:
            async for _ in transcriber:
                pass

    async def cancel() -> None:
        task = asyncio.create_task(read())
        await asyncio.to_thread(source.delivered.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert source.is_closed


def test_a_failure_is_not_lost_when_the_wait_for_the_end_is_cut_short(
    starter: CompiledModel, speech: Samples
) -> None:
    closing = threading.Event()

    class SlowToClose(Sound):
        def close(self) -> None:
            assert closing.wait(30)
            super().close()

    model = Gated(starter, ModelError("broken"))
    model.gate.set()

    async def read() -> None:
        reader = aiter(Transcriber(SlowToClose(speech), model=model))
        is_over = False
        while True:
            try:
                is_over |= isinstance(await asyncio.wait_for(anext(reader), 0.05), Closed)
            except asyncio.TimeoutError:
                if is_over:
                    closing.set()

    with pytest.raises(ModelError, match="broken"):
        asyncio.run(read())


def test_cancelled_tasks_end_though_all_threads_of_the_loop_open_sources(
    starter: CompiledModel, speech: Samples
) -> None:
    class Silent(Sound):
        def open(self) -> None:
            self._stopping.wait()

    async def read(source: Silent) -> None:
        async with Transcriber(source, model=starter):
            pass

    async def cancel() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        sources = [Silent(speech) for _ in range(4)]
        tasks = [asyncio.create_task(read(source)) for source in sources]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)

    asyncio.run(cancel())


def test_a_wait_in_vain_leaves_nothing_behind() -> None:
    events = EventQueue(1)
    wakes = [events.poll(woken := lambda: None)[0]]
    events.forget(woken)
    events.forget(woken)
    assert wakes == [False]
    assert not events._wakes


def test_callbacks_run_on_the_inference_thread(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    events: list[Event] = []
    partials: list[Event] = []
    said: list[Event] = []
    threads = set()

    def on_event(event: Event) -> None:
        threads.add(threading.current_thread().name)
        events.append(event)

    transcriber = Transcriber(
        Sound(speech), model=starter, on_event=on_event, on_partial=partials.append,
        on_final=said.append,
    )  # fmt: skip
    transcriber.start()
    transcriber.wait()
    assert threads == {"streamer-inference"}
    assert finals(said) == finals(events) == expected
    assert partials == [event for event in events if isinstance(event, Partial)]
    with pytest.raises(TypeError, match="callbacks"):
        next(iter(transcriber))


def test_close_finishes_what_was_said(starter: CompiledModel, speech: Samples) -> None:
    half_a_sentence = speech[: round(1.6 * 16_000)]
    pipeline = Pipeline(starter, SETTINGS)
    expected = finals(pipeline.push(half_a_sentence) + pipeline.flush())
    assert expected[0].text

    source = Sound(half_a_sentence, live=True, stays_open=True)
    transcriber = Transcriber(source, model=starter)
    transcriber.start()
    source.delivered.wait()
    transcriber.close()
    transcriber.close()
    assert source.is_closed
    assert finals(list(transcriber)) == expected


def test_close_frees_a_worker_whose_events_nobody_reads(
    starter: CompiledModel, speech: Samples, expected: list[Final], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.transcriber.EVENT_CAPACITY", 1)
    source = Sound(speech, stays_open=True)
    transcriber = Transcriber(source, model=starter)
    transcriber.start()
    source.delivered.wait()
    transcriber.close()
    assert finals(list(transcriber)) == expected


def test_cancel_throws_away_what_was_not_delivered(starter: CompiledModel, speech: Samples) -> None:
    source = Sound(speech, live=True, stays_open=True)
    model = Gated(starter)
    transcriber = Transcriber(source, model=model)
    transcriber.start()
    model.called.wait()
    threading.Thread(target=model.gate.set).start()
    transcriber.cancel()
    transcriber.cancel()
    events = list(transcriber)
    assert finals(events) == []
    assert source.is_closed


def test_close_may_be_called_by_a_callback(starter: CompiledModel, speech: Samples) -> None:
    said: list[Final] = []

    def on_final(final: Final) -> None:
        said.append(final)
        transcriber.close()

    transcriber = Transcriber(Sound(speech, stays_open=True), model=starter, on_final=on_final)
    transcriber.start()
    transcriber.wait()
    assert said


def test_what_was_closed_before_it_began_does_not_begin(
    starter: CompiledModel, speech: Samples
) -> None:
    transcriber = Transcriber(Sound(speech), model=starter)
    transcriber.close()
    with pytest.raises(RuntimeError, match="Make a new one"):
        next(iter(transcriber))


def test_close_waits_for_a_start_that_another_thread_is_about(
    starter: CompiledModel, speech: Samples
) -> None:
    class Slow(Sound):
        opening, stopped = threading.Event(), threading.Event()

        def open(self) -> None:
            self.opening.set()
            assert self.stopped.wait(30)

        def stop(self) -> None:
            super().stop()
            self.stopped.set()

    source = Slow(speech, stays_open=True)
    transcriber = Transcriber(source, model=starter)
    starting = threading.Thread(target=transcriber.start)
    starting.start()
    source.opening.wait()
    transcriber.close()
    assert source.is_closed
    starting.join()


def test_a_source_that_was_stopped_is_not_opened_again(
    starter: CompiledModel, speech: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "speech.wav"
    soundfile.write(path, speech, 16_000)
    source = File(path)
    with Transcriber(source, model=starter) as transcriber:
        assert finals(list(transcriber))
    with (
        pytest.raises(RuntimeError, match="Make a new source"),
        Transcriber(source, model=starter),
    ):
        pass


def test_what_cannot_be_a_source_or_a_callback_is_refused_at_once() -> None:
    async def on_final(final: Final) -> None:
        pass

    with pytest.raises(TypeError, match=r"as File\('talk.wav'\)"):
        Transcriber("talk.wav")  # type: ignore[arg-type]

    class Callback:
        async def __call__(self, final: Final) -> None:
            pass

    for callback in (on_final, functools.partial(on_final), Callback()):
        with pytest.raises(TypeError, match="coroutine function"):
            Transcriber(Sound(np.zeros(0, np.float32)), on_final=callback)


def test_only_what_runs_and_has_callbacks_is_waited_for(
    starter: CompiledModel, speech: Samples
) -> None:
    with pytest.raises(TypeError, match="iterate"):
        Transcriber(Sound(speech), model=starter).wait()
    with pytest.raises(RuntimeError, match="call `start` first"):
        Transcriber(Sound(speech), model=starter, on_final=print).wait()


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (Block(np.full(1_600, np.nan, np.float32)), AudioError, "not a number at 6.500 s"),
        (Block(np.full(1_600, 1e30, np.float32)), AudioError, r"floats? samples in \[-1, 1\]"),
        (Block(np.zeros((1_600, 2), np.float32)), AudioError, r"found shape \[1600, 2\]"),
        (np.zeros(1_600, np.float32), TypeError, "Expected a Block, .* found ndarray"),
    ],
    ids=["nan", "loud", "stereo", "array"],
)
def test_what_a_source_delivers_is_sound_or_ends_the_stream(
    starter: CompiledModel, speech: Samples, expected: list[Final], bad: Block,
    error: type[Exception], message: str,
) -> None:  # fmt: skip
    source = Sound(speech)
    read, source.read = source.read, lambda: read() or bad  # type: ignore[method-assign]
    transcriber = Transcriber(source, model=starter)
    events: list[Event] = []
    with pytest.raises(error, match=message):
        events.extend(iter(transcriber))
    assert source.is_closed


def test_integers_of_a_source_are_scaled(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    source = Sound(np.round(speech * 32_768).astype(np.int16))  # type: ignore[arg-type]
    said = finals(list(Transcriber(source, model=starter)))
    assert [final.text for final in said] == [final.text for final in expected]


def test_what_has_ended_is_freed(starter: CompiledModel, speech: Samples) -> None:
    transcriber = Transcriber(Sound(speech), model=starter)
    for event in transcriber:
        if isinstance(event, Closed):
            break
    for thread in threading.enumerate():
        if thread.name.startswith("streamer-"):
            thread.join()
    freed = weakref.ref(transcriber)
    del transcriber
    gc.collect()
    assert freed() is None


def test_a_callback_that_raises_ends_the_stream_and_is_reported_once(
    starter: CompiledModel, speech: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    def on_final(final: Final) -> None:
        raise KeyError("mine")

    source = Sound(speech, stays_open=True)
    transcriber = Transcriber(source, model=starter, on_final=on_final)
    transcriber.start()
    with pytest.raises(CallbackError, match="KeyError") as caught:
        transcriber.wait()
    assert "The transcriber has stopped: A callback raised KeyError" in caplog.text
    assert isinstance(caught.value.__cause__, KeyError)
    transcriber.close()
    assert source.is_closed


def test_what_came_before_a_broken_source_is_transcribed(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    source = Sound(speech, failure=AudioError("the tape is torn"))
    events, error = read_until_error(Transcriber(source, model=starter))
    assert isinstance(error, AudioError)
    assert finals(events) == expected
    assert isinstance(events[-1], Closed)


def test_a_lost_device_is_an_event_and_ends_the_utterance(
    starter: CompiledModel, speech: Samples
) -> None:
    half_a_sentence = speech[: round(1.6 * 16_000)]
    source = Sound(half_a_sentence, live=True, failure=DeviceLostError("gone"))
    events, error = read_until_error(Transcriber(source, model=starter))
    assert isinstance(error, DeviceLostError)
    kinds = [type(event) for event in events if not isinstance(event, Partial)]
    assert kinds[-3:] == [Final, DeviceLost, Closed]
    assert finals(events)[-1].text
    lost = next(event for event in events if isinstance(event, DeviceLost))
    assert lost.at_s == 1.6


def test_a_model_that_fails_stops_the_capture(starter: CompiledModel, speech: Samples) -> None:
    model = Gated(starter, failure=RuntimeError("out of memory"))
    model.gate.set()
    source = Sound(speech, live=True, stays_open=True)
    transcriber = Transcriber(source, model=model)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(transcriber)
    assert source.is_closed


def test_an_overloaded_live_source_reports_every_lost_sample(
    starter: CompiledModel, sample: Samples
) -> None:
    settings = Settings(ring_s=38.5)
    twice = np.concatenate([sample, sample])
    model = Gated(starter)
    source = Sound(twice, live=True)
    transcriber = Transcriber(source, model=model, settings=settings)
    transcriber.start()
    source.delivered.wait()  # The model has not finished anything yet.
    model.gate.set()
    events = list(transcriber)
    check_event_guarantees(events)
    dropped = [event for event in events if isinstance(event, AudioDropped)]
    closed = events[-1]
    assert isinstance(closed, Closed)
    statistics = closed.statistics
    assert statistics.captured_s == len(twice) / 16_000
    assert sum(event.duration_s for event in dropped) == pytest.approx(statistics.dropped_s)
    assert statistics.dropped_s > 15
    for final in finals(events):
        for gap in dropped:
            assert final.end_s <= gap.start_s or final.start_s >= gap.start_s + gap.duration_s


def accounted_for(statistics: Statistics) -> None:
    """Assert that in the end every sample was recognised, silent or dropped."""
    check_sum(statistics)
    assert statistics.waiting_s == 0.0


class OneBlock(Sound):
    """All sound at once."""

    def __init__(self, samples: Samples, live: bool) -> None:
        super().__init__(samples, live=live)
        self._blocks = [samples]


class Clockwork:
    """The sample again and again from a source that does not wait, and a model of a given speed.

    The source delivers `speed` times as fast as speech is spoken; the model takes `rtf` times as
    long as the sound that it is given, by the same clock.
    """

    speed = 80.0

    def __init__(self, model: CompiledModel, samples: Samples, rtf: float) -> None:
        self.name, self.labels = model.name, model.labels
        self.grid, self.longest = model.grid, model.longest
        self.stable_lag_s, self.needs_context = model.stable_lag_s, model.needs_context
        self.noise_gate = model.noise_gate
        self.live = True
        self._model, self._rtf = model, rtf
        self._blocks = [samples[at : at + BLOCK] for at in range(0, len(samples), BLOCK)]
        self._stopping = threading.Event()

    def hear(self, utterance: Samples) -> Heard:
        time.sleep(self._rtf * len(utterance) / 16_000 / self.speed)
        return self._model.hear(utterance)

    def is_ready(self, n_samples: int) -> bool:
        return True

    def warm_up(self, keep_going: Callable[[int, int], bool]) -> None:
        pass

    def open(self) -> None:
        pass

    def read(self) -> Block | None:
        if not self._blocks or self._stopping.wait(BLOCK / 16_000 / self.speed):
            return None
        return Block(self._blocks.pop(0))

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        pass


def test_waiting_for_the_warm_up_says_nothing_of_the_models_speed(
    starter: CompiledModel, sample: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_begun, is_warm = threading.Event(), threading.Event()

    class Compiling(Clockwork):
        """Is made ready in one step, which ends after the first call has begun."""

        def hear(self, utterance: Samples) -> Heard:
            has_begun.set()
            assert is_warm.wait(60)
            return super().hear(utterance)

        def warm_up(self, keep_going: Callable[[int, int], bool]) -> None:
            assert has_begun.wait(60)
            keep_going(1, 1)
            threading.Timer(0.1, is_warm.set).start()

    took: list[float | None] = []
    complete = Recogniser.complete

    def spy(
        self: Recogniser, work: Work, words: list[DecodedWord], took_s: float | None = None
    ) -> None:
        took.append(took_s)
        complete(self, work, words, took_s)

    monkeypatch.setattr(Recogniser, "complete", spy)
    starter.warm_up()
    slow = Compiling(starter, np.concatenate([sample] * 2), rtf=0.1)
    assert finals(list(Transcriber(slow, model=slow)))
    assert took[0] is None
    assert None not in took[1:]


def test_of_a_model_ten_times_too_slow_finals_come_and_what_does_not_fit_is_counted(
    starter: CompiledModel, sample: Samples
) -> None:
    starter.warm_up()  # It has its own speed.
    sound = np.concatenate([sample] * 6)
    slow = Clockwork(starter, sound, rtf=10.0)
    events = list(Transcriber(slow, model=slow, settings=Settings(ring_s=38.5)))
    check_event_guarantees(events)
    closed = events[-1]
    assert isinstance(closed, Closed)
    accounted_for(closed.statistics)
    assert closed.statistics.captured_s == len(sound) / 16_000
    said = finals(events)
    assert len(said) > 5
    dropped = [event for event in events if isinstance(event, AudioDropped)]
    assert {event.reason for event in dropped} == {"the model does not keep up"}
    assert closed.statistics.dropped_s > 60.0
    # Sound is taken in again long before all that waited is done, and in whole phrases.
    assert len(dropped) > 1
    for before, after in pairwise(dropped):
        assert after.start_s - (before.start_s + before.duration_s) > 4.9
    # Only what is said when nothing waits has partials.
    partials = [event for event in events if isinstance(event, Partial)]
    assert len(partials) < closed.statistics.recognised_s / SETTINGS.partial_interval_s / 4


def test_after_an_overload_a_ring_with_room_for_no_phrase_takes_in_sound_again(
    starter: CompiledModel, sample: Samples
) -> None:
    has_begun = threading.Event()

    class SlowToBegin(Clockwork):
        def hear(self, utterance: Samples) -> Heard:
            if not has_begun.is_set():
                has_begun.set()
                time.sleep(10.0 / self.speed)
            return Heard(np.zeros((0, len(self.labels.symbols)), np.float32))

    model = SlowToBegin(starter, np.concatenate([sample] * 3), rtf=0.0)
    small = Settings(longest_piece_s=1.0, end_silence_s=0.1, trailing_pad_s=0.1, ring_s=6.5)
    closed = list(Transcriber(model, model=model, settings=small))[-1]
    assert isinstance(closed, Closed)
    accounted_for(closed.statistics)
    assert 0.0 < closed.statistics.dropped_s < 0.5 * closed.statistics.captured_s


def test_events_that_nobody_reads_stop_the_model_and_then_cost_sound_that_is_counted(
    starter: CompiledModel, twice: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.transcriber.EVENT_CAPACITY", 1)
    source = Sound(np.concatenate([twice, twice]), live=True)
    transcriber = Transcriber(source, model=starter, settings=SMALL_RING)
    transcriber.start()
    source.delivered.wait()  # A live source does not wait, whoever reads.
    assert transcriber.statistics().dropped_s > 30.0
    events = list(transcriber)
    check_event_guarantees(events)
    assert isinstance(events[-1], Closed)
    accounted_for(events[-1].statistics)
    assert finals(events)


@pytest.mark.parametrize("moment", [SpeechStarted, Final])
def test_what_a_callback_that_raised_left_over_is_dropped(
    starter: CompiledModel, speech: Samples, moment: type[Event]
) -> None:
    def on_event(event: Event) -> None:
        if isinstance(event, moment):
            raise KeyError("mine")

    source = Sound(speech, live=True, stays_open=True)
    transcriber = Transcriber(source, model=starter, on_event=on_event)
    transcriber.start()
    with pytest.raises(CallbackError, match="KeyError"):
        transcriber.wait()
    statistics = transcriber.statistics()
    accounted_for(statistics)
    assert statistics.captured_s > 0.0


def test_what_was_cancelled_is_dropped(starter: CompiledModel, speech: Samples) -> None:
    source = Sound(speech, live=True, stays_open=True)
    transcriber = Transcriber(source, model=starter)
    transcriber.start()
    source.delivered.wait()
    transcriber.cancel()
    accounted_for(transcriber.statistics())
    assert transcriber.statistics().captured_s == TWO_SENTENCES_S


def test_a_device_that_comes_back_is_an_event_and_the_stream_goes_on(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    class Unplugged(Sound):
        def __init__(self) -> None:
            super().__init__(np.concatenate([speech, speech]))
            self._changes: list[Block | DeviceChange] = [
                DeviceChange("old", is_back=False),
                Block(speech[:0], 32_000, "a test"),
                DeviceChange("new", is_back=True),
            ]

        def read(self) -> Block | DeviceChange | None:  # type: ignore[override]
            if len(self._blocks) * 2 * BLOCK <= 2 * len(speech) and self._changes:
                return self._changes.pop(0)
            return super().read()

    events = list(Transcriber(Unplugged(), model=starter))
    check_event_guarantees(events)
    changes = [event for event in events if isinstance(event, DeviceLost | DeviceRestored)]
    assert changes == [
        DeviceLost(device="old", at_s=TWO_SENTENCES_S),
        DeviceRestored(device="new", at_s=TWO_SENTENCES_S + 2.0),
    ]
    said = [final.text for final in finals(events)]
    assert said == [final.text for final in expected] * 2


def test_a_source_that_can_wait_loses_nothing_when_the_model_is_slow(
    starter: CompiledModel, twice: Samples, finals_of_twice: list[Final]
) -> None:
    model = Gated(starter)
    source = Sound(twice)
    transcriber = Transcriber(source, model=model, settings=SMALL_RING)
    transcriber.start()
    model.called.wait()
    assert not source.delivered.is_set()
    model.gate.set()
    assert finals(list(transcriber)) == finals_of_twice


def test_a_block_longer_than_the_ring_loses_nothing(
    starter: CompiledModel, twice: Samples, finals_of_twice: list[Final]
) -> None:
    for live in (False, True):  # live as after Ctrl-Z and `fg`, when it was kept by a sound server
        with Transcriber(OneBlock(twice, live), model=starter, settings=SMALL_RING) as transcriber:
            assert finals(list(transcriber)) == finals_of_twice


def test_a_model_that_is_stuck_does_not_hold_up_a_live_source_for_ever(
    starter: CompiledModel, twice: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.intake.BACKLOG_WAITS_S", 0.1)
    model = Gated(starter)
    source = OneBlock(np.concatenate([twice, twice]), live=True)
    transcriber = Transcriber(source, model=model, settings=SMALL_RING)
    transcriber.start()
    source.delivered.wait()
    model.gate.set()
    statistics = closed(list(transcriber)).statistics
    accounted_for(statistics)
    assert statistics.dropped_s > 15.0


def test_a_source_that_fails_to_open_or_to_close_says_so(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    class Stuck(Sound):
        def open(self) -> None:
            raise AudioError("it is stuck")

    transcriber = Transcriber(Stuck(speech), model=starter)
    for _ in range(2):
        with pytest.raises(AudioError, match="stuck"):
            transcriber.start()

    class Jammed(Sound):
        def close(self) -> None:
            raise AudioError("it is jammed")

    events, error = read_until_error(Transcriber(Jammed(speech), model=starter))
    assert isinstance(error, AudioError)
    assert finals(events) == expected


def test_what_waited_for_the_model_to_load_is_no_lag_of_a_slow_model(
    starter: CompiledModel, twice: Samples, finals_of_twice: list[Final]
) -> None:
    class Loading(Gated):
        """Is there when its first length is let through, and ready when the gate is open."""

        first = threading.Event()

        def is_ready(self, n_samples: int) -> bool:
            return self.gate.is_set()

        def warm_up(self, keep_going: Callable[[int, int], bool]) -> None:
            keep_going(0, 2)
            self.first.wait()
            keep_going(1, 2)
            self.gate.wait()

    model = Loading(starter)
    sound = Sound(twice, live=True)
    settings = Settings(partials=False, ring_s=60.0)
    with Transcriber(sound, model=model, settings=settings) as transcriber:
        assert sound.delivered.wait(10)
        assert transcriber.is_loading
        model.first.set()
        assert model.called.wait(10)
        assert transcriber.is_loading
        model.gate.set()
        events = list(transcriber)
        assert not transcriber.is_loading
    assert finals(events) == finals_of_twice
    lagging = [event for event in events if isinstance(event, Lagging)]
    assert lagging[0].rtf < 1.0  # The call that waited tells nothing of the model's speed.


NEVER_CLOSED = """
import threading, time
from streamer import SpeechStarted, Transcriber, transcriber
from streamer.sources import Block
import numpy as np

class Open:
    name, live, event = "open", True, threading.Event()
    def open(self): pass
    def read(self): self.event.wait()
    def stop(self): self.event.set()
    def close(self): pass

{}
"""


@pytest.mark.parametrize(
    "program",
    [
        "forgotten = Transcriber(Open()); forgotten.load(); forgotten.start()",
        # TensorFlow is just being imported, which must come to its end.
        "Transcriber(Open()).start()",
        "Transcriber(Open()).start(); time.sleep(0.5)",
        # A callback that does not return, and never will.
        "transcriber.EXIT_WITHIN_S = 0.1; Open.read = lambda _: None;"
        "called = threading.Event(); on_event = lambda _: (called.set(), time.sleep(1000));"
        "Transcriber(Open(), on_event=on_event).start(); called.wait()",
        # A model that computes for longer than that.
        "transcriber.EXIT_WITHIN_S = 0.1; import tensorflow as tf; computing = threading.Event();"
        "model = transcriber._found('starter', transcriber.Settings());"
        "x = tf.random.normal([3000, 3000]);"
        "model.warm_up = lambda _: (computing.set(), [(x @ x).numpy() for _ in range(10)]);"
        "Transcriber(Open(), model=model).start(); computing.wait()",
    ],
    ids=["loaded", "loading", "a little later", "blocked", "computing"],
)
def test_a_transcriber_that_was_never_closed_does_not_keep_python_alive(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NEVER_CLOSED.format(program)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_importing_the_package_does_not_import_tensorflow() -> None:
    program = "import sys, streamer, streamer.cli; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_no_final_waits_for_a_device_that_takes_its_time_to_close(
    starter: CompiledModel, speech: Samples
) -> None:
    sound, is_read = Sound(speech), threading.Event()
    waited: list[bool] = []
    sound.close = lambda: waited.append(is_read.wait(30.0))  # type: ignore[method-assign]
    with Transcriber(sound, model=starter) as transcriber:
        n_finals = 0
        for event in transcriber:
            n_finals += isinstance(event, Final)
            if n_finals == 2:
                is_read.set()
    assert waited == [True]


def test_a_callback_that_cancels_costs_no_further_call_of_the_model(
    starter: CompiledModel, speech: Samples
) -> None:
    model = Gated(starter)
    model.gate.set()
    sound = Sound(speech, stays_open=True)

    def cancel(event: Event) -> None:
        if isinstance(event, SpeechStarted):
            sound.delivered.wait()  # There is work by then.
            transcriber.cancel()

    transcriber = Transcriber(sound, model=model, on_event=cancel)
    transcriber.start()
    transcriber.wait()
    assert not model.called.is_set()


def closed(events: list[Event]) -> Closed:
    assert isinstance(events[-1], Closed)
    return events[-1]


def paused_at(starter: CompiledModel, samples: Samples, pause: int, resume: int) -> list[Event]:
    """The events of a sound, of which samples [pause, resume) come while nobody listens."""
    sound = Sound(samples)
    transcriber = Transcriber(sound, model=starter)
    read, n_read = sound.read, 0

    def read_and_press() -> Block | None:
        nonlocal n_read
        if n_read == pause:
            transcriber.pause(after_s=0.0)
        elif n_read == resume:
            transcriber.resume()
        block = read()
        n_read += len(block.samples) if block else 0
        return block

    sound.read = read_and_press  # type: ignore[method-assign]
    with transcriber:
        return list(transcriber)


def test_a_pause_finishes_what_was_said_and_hears_nothing_until_it_is_over(
    starter: CompiledModel, sample: Samples
) -> None:
    first, second = finals(list(Transcriber(Sound(sample[: 6 * 16_000]), model=starter)))
    in_it = round((first.start_s + first.end_s) / 2 * 16_000) // BLOCK * BLOCK
    between = round((first.end_s + second.start_s) / 2 * 16_000) // BLOCK * BLOCK
    for pause, resume in ((in_it, between), (in_it, in_it + 8 * BLOCK), (0, between)):
        events = paused_at(starter, sample[: 6 * 16_000], pause, resume)
        check_event_guarantees(events)
        for final in finals(events):  # none has anything of the time between
            assert final.end_s <= pause / 16_000 or final.start_s >= resume / 16_000
        assert closed(events).statistics.paused_s == pytest.approx((resume - pause) / 16_000)
        assert closed(events).statistics.dropped_s == 0.0
        assert finals(events)[-1].text == second.text
        if pause:
            assert first.text.startswith(finals(events)[0].text.split()[0])


def test_what_is_lost_in_a_pause_is_not_missed(starter: CompiledModel) -> None:
    sound = Sound(np.zeros(16_000, np.float32))
    transcriber = Transcriber(sound, model=starter)
    read = sound.read

    def read_and_lose() -> Block | None:
        block = read()
        return None if block is None else replace(block, n_lost=BLOCK, reason="it was gone")

    sound.read = read_and_lose  # type: ignore[method-assign]
    transcriber.pause(after_s=0.0)
    with transcriber:
        statistics = closed(list(transcriber)).statistics
    assert (statistics.dropped_s, statistics.captured_s) == (0.0, statistics.paused_s)


def test_what_was_said_just_before_a_pause_is_still_heard(
    starter: CompiledModel, sample: Samples
) -> None:
    (whole,) = finals(list(Transcriber(Sound(sample[: 3 * 16_000]), model=starter)))
    sound = Sound(sample[: 3 * 16_000])
    transcriber = Transcriber(sound, model=starter)
    read = sound.read

    def pause_and_read() -> Block | None:
        if not transcriber.is_paused:
            transcriber.pause(after_s=whole.end_s)  # as much as is on its way
        return read()

    sound.read = pause_and_read  # type: ignore[method-assign]
    with transcriber:
        events = list(transcriber)
    assert transcriber.is_paused
    assert [final.text for final in finals(events)] == [whole.text]
    assert closed(events).statistics.paused_s > 0.0


def test_a_pause_ends_what_is_being_said_though_nothing_more_is_delivered(
    starter: CompiledModel, speech: Samples, expected: list[Final]
) -> None:
    sound = Sound(speech[: 3 * BLOCK + round(expected[0].end_s * 16_000)], stays_open=True)
    with Transcriber(sound, model=starter, settings=SETTINGS) as transcriber:
        events = iter(transcriber)
        assert sound.delivered.wait(30)
        transcriber.pause(after_s=600.0)
        transcriber.pause(after_s=0.0)  # the earlier one counts
        found = next(event for event in events if isinstance(event, Final))
        assert found.text == expected[0].text


def test_nothing_is_heard_after_a_pause_before_the_start(
    starter: CompiledModel, speech: Samples
) -> None:
    transcriber = Transcriber(Sound(speech), model=starter)
    transcriber.pause()
    with transcriber:
        statistics = closed(list(transcriber)).statistics
    assert statistics.paused_s == statistics.captured_s == len(speech) / 16_000


@pytest.mark.parametrize("end", [Transcriber.close, Transcriber.cancel])
def test_a_source_that_cannot_be_stopped_leaves_no_thread(
    starter: CompiledModel, speech: Samples, end: Callable[[Transcriber], None]
) -> None:
    sound = Sound(speech)

    def stop() -> None:
        raise OSError("the device does not answer")

    sound.stop = stop  # type: ignore[method-assign]
    transcriber = Transcriber(sound, model=starter)
    transcriber.start()
    with pytest.raises(OSError, match="does not answer"):
        end(transcriber)
    assert not any(thread.name.startswith("streamer") for thread in threading.enumerate())
