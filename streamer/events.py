"""What the user receives: typed events, each also one JSON object.

Times are seconds since capture began. For any stream of events:

- `SpeechStarted` comes once and first for every utterance, exactly one `Final` ends it, after
  which nothing more is said of it; utterances come in order.
- `Partial.stable_text` never shrinks or changes within an utterance, and its final begins with it.
- The events do not depend on how the samples were cut into blocks. Without partials the finals do
  not depend on the machine's speed either; with them, what became stable is not corrected.
- The words of a final lie inside its utterance, in order; joined by spaces they are its text.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One recognised word.

    Attributes:
        word: As every model writes it, without marks.
        start_s: When it begins.
        end_s: When it ends.
        confidence: How clearly it was heard, in [0, 1]; see `streamer.decoder`.
        written: The word with case and punctuation marks, from a model that writes them; else "".
    """

    word: str
    start_s: float
    end_s: float
    confidence: float
    written: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted:
    """Somebody began to speak. `start_s` includes the pre-roll."""

    type: ClassVar[Literal["speech_started"]] = "speech_started"
    utterance: int
    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What has been understood so far. `text` is the stable and the unstable text together.

    Its `words` are those of `text`; the ones of `stable_text` stay as they are, but that marks may
    come behind the last of them, in `written`, when another becomes stable.
    """

    type: ClassVar[Literal["partial"]] = "partial"
    utterance: int
    start_s: float
    end_s: float
    stable_text: str
    unstable_text: str
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """The transcript of an utterance. Its text is empty when there was no word in the sound.

    `latency_s` is the sound heard between the end of speech and this event: with a live source,
    how long the speaker waited for it.
    """

    type: ClassVar[Literal["final"]] = "final"
    utterance: int
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]
    latency_s: float
    model: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDropped:
    """Sound was lost. No utterance reaches across the gap."""

    type: ClassVar[Literal["audio_dropped"]] = "audio_dropped"
    start_s: float
    duration_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLost:
    """The microphone is gone, or delivers nothing any more; the utterance in progress is over.

    It is looked for until it is back. An error ends the stream when it is not looked for,
    or in vain.
    """

    type: ClassVar[Literal["device_lost"]] = "device_lost"
    device: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRestored:
    """A microphone is there again, perhaps another one: `device`. Sound goes on at `at_s`.

    What was not captured since `DeviceLost` is an `AudioDropped` before it.
    """

    type: ClassVar[Literal["device_restored"]] = "device_restored"
    device: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lagging:
    """The model is behind a live source by more than a second, or is no longer.

    Sent once when that begins, once when it is over. `lag_s` is the sound that was captured but not
    yet recognised; `rtf` the model's time over the time of the sound, the median of its last calls.
    """

    type: ClassVar[Literal["lagging"]] = "lagging"
    lag_s: float
    rtf: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Where every second of sound went, and what came of it.

    captured_s = recognised_s + silence_s + dropped_s + paused_s + waiting_s

    In the end nothing is waiting. What was lost is an `AudioDropped` each time; what `cancel` or a
    failure threw away is dropped, too, without an event. `paused_s` is what `pause` left out.
    """

    captured_s: float = 0.0
    recognised_s: float = 0.0
    silence_s: float = 0.0
    dropped_s: float = 0.0
    paused_s: float = 0.0
    waiting_s: float = 0.0
    utterances: int = 0
    words: int = 0
    partials: int = 0
    speculative_finals: int = 0
    speculative_finals_used: int = 0
    inferences: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The last event of every stream."""

    type: ClassVar[Literal["closed"]] = "closed"
    statistics: Statistics


Event = (
    SpeechStarted | Partial | Final | AudioDropped | DeviceLost | DeviceRestored | Lagging | Closed
)


def to_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object: its `type`, then its fields under their own names."""
    return {"type": event.type, **asdict(event)}
