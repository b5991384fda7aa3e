"""How good and how fast: words, latency, flicker and speed over recordings with transcripts.

By the audio clock (the default) the machine counts as infinitely fast, and latency is what the
method costs: waiting for silence, for the next partial. By the wall clock (`realtime`) recordings
are fed at the speed of speech, and latency is what somebody on this machine would see.
"""

from streamer.bench.invented import Invented, measure_noise
from streamer.bench.manifest import Recording, read_manifest
from streamer.bench.measures import Measures
from streamer.bench.results import Results
from streamer.bench.run import measure
from streamer.bench.soak import Soak, soak

__all__ = [
    "Invented",
    "Measures",
    "Recording",
    "Results",
    "Soak",
    "measure",
    "measure_noise",
    "read_manifest",
    "soak",
]
