"""The core: sound in, events out, as one synchronous object without threads, clock or files.

For every cut `a` of a sound `x`: the events of `push(x[:a])`, `push(x[a:])` and `flush()`, put
together, are those of `push(x)` and `flush()`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.audio import Converter, as_array
from streamer.errors import AudioError
from streamer.events import Closed, Event, Statistics
from streamer.listener import Listener
from streamer.recogniser import Model, Recogniser
from streamer.settings import SAMPLE_RATE, Settings

MOST_CHANNELS = 32  # With more than those, and than samples, an array is one that lies on its side.


class Pipeline:
    """Transcribes sound as it is pushed, in the caller's thread.

    The same code runs behind `Transcriber`, which adds threads. Here the machine is, as it were,
    infinitely fast: all the work that a frame of sound makes possible is done before the next
    frame is heard.
    """

    def __init__(self, model: Model, settings: Settings | None = None) -> None:
        self._model = model
        self._settings = settings or Settings()
        self.reset()

    def reset(self) -> None:
        """Begin a new stream, at utterance 0 and second 0. What was not flushed is thrown away."""
        self._converter: Converter | None = None
        self._is_flushed = False
        self._listener = Listener(self._settings)
        self._recogniser = Recogniser(self._listener, self._model, self._settings, is_offline=True)

    def change(self, **changes: Any) -> None:
        """Change settings of `streamer.settings.CHANGEABLE` from here on; a reset keeps them.

        Raises:
            ValueError: A setting is not among them, or out of range.
        """
        self._settings = self._settings.changed(**changes)
        self._listener.change(self._settings)
        self._recogniser.change(self._settings)

    def push(self, samples: npt.ArrayLike, sample_rate: int = SAMPLE_RATE) -> list[Event]:
        """Hear the next samples and return what came of them.

        Args:
            samples: Shape [n_samples] or [n_samples, channel]; integers of any width, or floats in
                [-1, 1]. Any number of samples.
            sample_rate: In Hz. It and the number of channels stay the same within a stream.

        Raises:
            AudioError: The samples or the rate cannot be used; what was pushed before is still
                there.
            ValueError: The rate changed within a stream, or the stream was flushed.
        """
        self._check_is_open()
        converter = self._converter
        if converter is None:
            converter = Converter(sample_rate, _n_channels(as_array(samples).shape))
        if sample_rate != converter.sample_rate:
            raise ValueError(
                f"Expected samples at {converter.sample_rate} Hz as before, found "
                f"{sample_rate} Hz. Call flush() and reset() to begin a new stream."
            )
        converted = converter.push(samples)
        if np.size(samples):  # The first sound, and nothing refused or empty, says the form.
            self._converter = converter
        return self._hear(converted)

    def flush(self) -> list[Event]:
        """The sound is over: finish what was said. The last event is `Closed`.

        Raises:
            ValueError: The stream was flushed before.
        """
        self._check_is_open()
        events = self._hear(self._converter.flush()) if self._converter else []
        self._is_flushed = True
        self._listener.finish()
        self._work()
        events += self._recogniser.take_events()
        return [*events, Closed(statistics=self.statistics())]

    def statistics(self) -> Statistics:
        """What became of the sound so far."""
        return self._recogniser.statistics()

    def _check_is_open(self) -> None:
        if self._is_flushed:
            raise ValueError("The stream was flushed. Call reset() to begin a new one.")

    def _hear(self, samples: npt.NDArray[Any]) -> list[Event]:
        # Frame by frame: so that what is decoded when does not depend on the caller's blocks.
        at = 0
        while at < len(samples):
            to_edge = self._listener.heard + self._listener.frame_length - self._listener.ring.stop
            self._listener.push(samples[at : at + to_edge])
            at += to_edge
            self._work()
        return self._recogniser.take_events()

    def _work(self) -> None:
        while work := self._recogniser.next_work():
            self._recogniser.complete(work, self._recogniser.run(work))


def _n_channels(shape: tuple[int, ...]) -> int:
    """How many channels the first samples say that there are."""
    if len(shape) != 2:
        return 1
    n_samples, n_channels = shape
    if n_channels > max(n_samples, MOST_CHANNELS):  # Other libraries have channels first.
        raise AudioError(
            f"Expected samples of shape [n_samples, channel], found shape {list(shape)}. "
            "Give their transpose."
        )
    return n_channels
