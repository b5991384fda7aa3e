"""Where sound comes from: a microphone, a file, a pipe; each gives blocks of the form inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from streamer.audio import Samples


@dataclass(frozen=True, slots=True)
class Block:
    """What a source delivers at a time.

    Attributes:
        samples: float32, mono, 16 kHz, in [-1, 1], shape [n_samples].
        n_lost: Samples that the source knows to have lost before these.
        reason: Why, in words that follow "lost:".
    """

    samples: Samples
    n_lost: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What a source delivers between two blocks when its device is gone, or back.

    Speech that is going on ends there. The time without a device is lost sound of the block before
    the change back.

    Attributes:
        device: The name of the device that is gone, or of the one that took its place.
        is_back: Whether there is a device again.
    """

    device: str
    is_back: bool


class Source(Protocol):
    """Delivers sound to one thread that reads it.

    The two properties may be plain attributes.
    """

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def live(self) -> bool:
        """Whether it cannot wait: what is not taken in time is lost."""
        ...

    def open(self) -> None:
        """Begin to capture.

        Raises:
            RuntimeError: It was stopped before, after it had been open.
            AudioError: The sound cannot be used.
            DeviceError: The device cannot be used.
        """
        ...

    def read(self) -> Block | DeviceChange | None:
        """Wait for the next block; None at the end, and soon after `stop`.

        Raises:
            AudioError: The sound from here on cannot be used.
            DeviceLostError: The device is gone for good.
        """
        ...

    def stop(self) -> None:
        """End the sound here, for good; from any thread. What was captured is still delivered."""
        ...

    def close(self) -> None:
        """Give back what `open` took. Called by the reading thread, after its last `read`."""
        ...


def stopped(name: str) -> RuntimeError:
    """What to raise when a source is opened again that was stopped."""
    return RuntimeError(f"{name} was stopped. Make a new source for another stream.")
