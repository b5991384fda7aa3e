"""Sounds without a word in them, made the same every time: what must give no text.

Each kind is a function of a random generator and a number of samples; its loudness is whatever
comes, `noise` sets the level.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.audio import Samples
from streamer.settings import SAMPLE_RATE, to_samples

Wave = npt.NDArray[np.floating[Any]]  # shape [n_samples], of any loudness
Kind = Callable[[np.random.Generator, int], Wave]

LEVELS_DB = (-70.0, -60.0, -50.0, -40.0, -30.0, -20.0, -12.0, -6.0)  # RMS, dB of full scale
PASSAGE_S = 10.0  # A sound sets in, stays so long, and stops.
PAUSE_S = 2.0  # As long as it takes to forget the noise before, and to be surprised again.
PAUSE_DB = -80.0  # A good microphone in a quiet room.
HIGHEST_HZ = 7900.0  # Overtones beyond half the sample rate would come back as others.
LOUDEST_S = 0.1  # The level of a sound that comes and goes is that of its loudest so many seconds.


def passages(kind: str, seed: int = 0) -> Iterator[tuple[float, Samples]]:
    """One passage of a kind after the other, without end, at every level in turn.

    Args:
        kind: One of `KINDS`.
        seed: Another seed gives other passages of the same kind.

    Yields:
        The level in dB of full scale, and the samples, a pause before them.
    """
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    while True:
        for level_db in rng.permutation(LEVELS_DB):
            pause = rng.standard_normal(to_samples(PAUSE_S)) * 10 ** (PAUSE_DB / 20)
            sound = noise(kind, to_samples(PASSAGE_S), float(level_db), rng)
            yield float(level_db), np.concatenate([pause.astype(np.float32), sound])


def noise(kind: str, n_samples: int, level_db: float, rng: np.random.Generator) -> Samples:
    """A sound without words, shape [n_samples].

    Args:
        kind: One of `KINDS`.
        n_samples: Its length.
        level_db: Level of its loudest tenth of a second, in dB of full scale. What then goes beyond
            full scale is clipped, as a microphone does it.
        rng: Where its chances come from.
    """
    wave = KINDS[kind](rng, n_samples)
    power = np.square(wave)
    window = min(to_samples(LOUDEST_S), n_samples)
    sums = np.cumsum(np.concatenate([[0.0], power]))
    loudest = np.sqrt(max(0.0, (sums[window:] - sums[:-window]).max()) / window)
    if loudest > 0.0:
        wave = wave * (10 ** (level_db / 20) / loudest)
    return np.clip(wave, -1.0, 1.0).astype(np.float32)


def _silence(_rng: np.random.Generator, n: int) -> Wave:
    """Nothing: a muted microphone."""
    return np.zeros(n)


def _white(rng: np.random.Generator, n: int) -> Wave:
    """All frequencies alike: an amplifier's hiss."""
    return rng.standard_normal(n)


def _pink(rng: np.random.Generator, n: int) -> Wave:
    """Every octave alike: rain, a waterfall."""
    return _shaped(rng, n, lambda hz: np.maximum(hz, 20.0) ** -0.5)


def _room(rng: np.random.Generator, n: int) -> Wave:
    """A quiet room: rumble below 200 Hz, and far below it all the rest."""
    return _shaped(rng, n, lambda hz: 1.0 / (1.0 + (hz / 100.0) ** 2) + 0.003)


def _hum(rng: np.random.Generator, n: int) -> Wave:
    """Mains hum: 50 or 60 Hz, its harmonics up to 2 kHz, and a little hiss."""
    mains_hz = rng.choice([50.0, 60.0])
    steepness = rng.uniform(0.5, 1.5)
    wave = 0.01 * rng.standard_normal(n)
    for k in range(1, 33):
        wave += rng.uniform(0.2, 1.0) / k**steepness * _tone(mains_hz * k, n, rng)
    return wave


def _fan(rng: np.random.Generator, n: int) -> Wave:
    """A fan: a rush below a few kHz that swells with each turn, and the tone of its blades."""
    turns_hz, blades = rng.uniform(10.0, 40.0), rng.integers(3, 10)
    cutoff_hz = rng.uniform(500.0, 3000.0)
    rush = _shaped(rng, n, lambda hz: 1.0 / (1.0 + (hz / cutoff_hz) ** 2))
    rush /= np.std(rush)
    swell = 1.0 + 0.2 * _tone(turns_hz, n, rng)
    tones = sum(_tone(turns_hz * blades * k, n, rng) / k for k in range(1, 6))
    return rush * swell + rng.uniform(0.1, 1.0) * tones


def _keyboard(rng: np.random.Generator, n: int) -> Wave:
    """Typing: bursts of keys, each a knock and, when it is let go, a softer one."""
    wave = np.zeros(n)
    at_s = 0.1
    while at_s < n / SAMPLE_RATE:
        loudness = rng.uniform(0.4, 1.0)
        _add(wave, at_s, loudness * _knock(rng, rng.uniform(0.005, 0.02)))
        up_s = at_s + rng.uniform(0.05, 0.12)
        _add(wave, up_s, 0.4 * loudness * _knock(rng, rng.uniform(0.003, 0.01)))
        at_s += rng.lognormal(np.log(0.15), 0.4) + (rng.random() < 0.1) * rng.uniform(0.3, 2.0)
    return wave


def _clicks(rng: np.random.Generator, n: int) -> Wave:
    """A mouse, a switch, a scratched record: very short, single, double or many."""
    wave = np.zeros(n)
    per_s = rng.uniform(0.5, 12.0)
    at_s = 0.1
    while at_s < n / SAMPLE_RATE:
        for delay_s in (0.0, rng.uniform(0.05, 0.15))[: rng.integers(1, 3)]:
            _add(wave, at_s + delay_s, rng.uniform(0.3, 1) * _knock(rng, rng.uniform(2e-4, 3e-3)))
        at_s += rng.exponential(1 / per_s) + 0.02
    return wave


def _breath(rng: np.random.Generator, n: int) -> Wave:
    """Breathing into the microphone: a rush with the throat's broad resonances, in and out."""
    wave = np.zeros(n)
    at_s = 0.2
    while at_s < n / SAMPLE_RATE:
        for duration_s in (rng.uniform(0.4, 1.2), rng.uniform(0.6, 2.0)):
            m = to_samples(duration_s)
            peaks_hz = rng.uniform([300, 1000, 2000], [800, 2000, 4000])

            def throat(hz: Wave, peaks_hz: Wave = peaks_hz) -> Wave:
                gain = np.full(len(hz), 0.1)
                for peak in peaks_hz:
                    gain += np.exp(-(((hz - peak) / 500.0) ** 2))
                return gain

            swell = np.sin(np.pi * np.arange(m) / m) ** rng.uniform(0.5, 2.0)
            _add(wave, at_s, rng.uniform(0.4, 1.0) * swell * _shaped(rng, m, throat))
            at_s += duration_s + rng.uniform(0.05, 0.4)
        at_s += rng.uniform(0.2, 1.5)
    return wave


def _steady_tone(rng: np.random.Generator, n: int) -> Wave:
    """A whistle of a device: one frequency, pure or with overtones, from 60 Hz to 6 kHz."""
    hz = 60.0 * 100.0 ** rng.random()
    overtones = rng.integers(1, 9)
    wave = np.zeros(n)
    for k in range(1, overtones + 1):
        wave += (hz * k < HIGHEST_HZ) * _tone(hz * k, n, rng) / k**2
    return wave


def _sweep(rng: np.random.Generator, n: int) -> Wave:
    """Tones that glide up and down between 60 Hz and 6 kHz: sirens, engines, whistling."""
    octaves_per_s, at = rng.uniform(0.3, 4.0), np.arange(n) / SAMPLE_RATE
    low, high = np.sort(rng.uniform(np.log2(60.0), np.log2(6000.0), 2))
    turns = (at * octaves_per_s / max(0.1, high - low)) % 2.0
    hz = 2.0 ** (low + (high - low) * np.where(turns < 1, turns, 2 - turns))
    phase = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE
    overtones = rng.integers(1, 9)
    wave = np.zeros(n)
    for k in range(1, overtones + 1):
        wave += (hz * k < HIGHEST_HZ) * np.sin(phase * k) / k
    return wave


def _dtmf(rng: np.random.Generator, n: int) -> Wave:
    """Telephone keys: two tones at once, 50 to 200 ms long (ITU-T Q.23)."""
    wave = np.zeros(n)
    on_s, off_s = rng.uniform(0.05, 0.2, 2)
    at_s = 0.1
    while at_s < n / SAMPLE_RATE:
        m = to_samples(on_s)
        row_hz = rng.choice([697.0, 770.0, 852.0, 941.0])
        column_hz = rng.choice([1209.0, 1336.0, 1477.0, 1633.0])
        _add(wave, at_s, _tone(row_hz, m, rng) + _tone(column_hz, m, rng))
        at_s += on_s + off_s + (rng.random() < 0.1) * rng.uniform(0.5, 2.0)
    return wave


def _alarm(rng: np.random.Generator, n: int) -> Wave:
    """Beeps: a smoke alarm, a microwave, a lorry in reverse, a siren of two tones."""
    at = np.arange(n) / SAMPLE_RATE
    period_s, duty = rng.uniform(0.15, 1.5), rng.uniform(0.3, 0.8)
    high_hz = rng.uniform(500.0, 3500.0)
    low_hz = high_hz * rng.choice([0.75, 0.5, 1.0])
    is_on = (at % period_s) < duty * period_s
    phase = 2 * np.pi * np.cumsum(np.where(is_on, high_hz, low_hz)) / SAMPLE_RATE
    wave = np.sign(np.sin(phase)) if rng.random() < 0.5 else np.sin(phase)
    return wave if rng.random() < 0.3 else wave * is_on


def _chords(rng: np.random.Generator, n: int) -> Wave:
    """Music: chords and single notes, struck or blown, in a steady beat."""
    wave = np.zeros(n)
    beat_s = 60.0 / rng.uniform(60.0, 160.0)
    attack_s, fall_s = rng.choice([0.005, 0.02, 0.1]), rng.uniform(0.2, 2.0)
    brightness = rng.uniform(1.0, 2.5)
    at_s = 0.1
    while at_s < n / SAMPLE_RATE:
        duration_s = beat_s * rng.choice([0.5, 1.0, 2.0])
        m = to_samples(duration_s)
        after = np.arange(m) / SAMPLE_RATE
        envelope = np.minimum(after / attack_s, 1.0) * np.exp(-after / fall_s)
        envelope *= np.minimum((duration_s - after) / 0.01, 1.0)
        root = rng.integers(36, 76)  # MIDI numbers: C2 to E5
        for interval in rng.permutation([0, 3, 4, 7, 9, 12])[: rng.integers(1, 5)]:
            hz = 440.0 * 2 ** ((root + interval - 69) / 12)
            for k in range(1, 12):
                if hz * k < HIGHEST_HZ:
                    _add(wave, at_s, envelope * _tone(hz * k, m, rng) / k**brightness)
        at_s += duration_s
    return wave


def _drums(rng: np.random.Generator, n: int) -> Wave:
    """A drum kit: kick, snare and hi-hat, on the beat and now and then off it."""
    wave = np.zeros(n)
    step_s = 15.0 / rng.uniform(80.0, 150.0)  # four steps a beat
    after = np.arange(to_samples(0.3)) / SAMPLE_RATE
    for step in range(int(n / SAMPLE_RATE / step_s)):
        if step % 8 == 0 or rng.random() < 0.1:
            phase = 2 * np.pi * (50 * after + 70 * 0.04 * (1 - np.exp(-after / 0.04)))
            _add(wave, step * step_s, np.sin(phase) * np.exp(-after / 0.1))
        if step % 8 == 4 or rng.random() < 0.05:
            rattle = rng.standard_normal(len(after)) * np.exp(-after / 0.06)
            _add(
                wave,
                step * step_s,
                0.4 * rattle + 0.5 * np.sin(2 * np.pi * 180 * after) * np.exp(-after / 0.05),
            )
        if step % 2 == 0 or rng.random() < 0.2:
            hiss = np.diff(rng.standard_normal(len(after) + 1)) * np.exp(-after / 0.02)
            _add(wave, step * step_s, 0.2 * hiss)
    return wave


KINDS: dict[str, Kind] = {
    "silence": _silence,
    "room": _room,
    "white": _white,
    "pink": _pink,
    "hum": _hum,
    "fan": _fan,
    "keyboard": _keyboard,
    "clicks": _clicks,
    "breath": _breath,
    "tone": _steady_tone,
    "sweep": _sweep,
    "dtmf": _dtmf,
    "alarm": _alarm,
    "chords": _chords,
    "drums": _drums,
}


def _tone(hz: float, n: int, rng: np.random.Generator) -> Wave:
    """A sine that begins anywhere in its period."""
    return np.sin(2 * np.pi * hz * np.arange(n) / SAMPLE_RATE + rng.uniform(0, 2 * np.pi))


def _shaped(rng: np.random.Generator, n: int, gain: Callable[[Wave], Wave]) -> Wave:
    """Noise with the given gain at each frequency in Hz."""
    hz = np.arange(n // 2 + 1) * (SAMPLE_RATE / n)
    spectrum = np.fft.rfft(rng.standard_normal(n)) * gain(hz)
    shaped: Wave = np.fft.irfft(spectrum, n)
    return shaped


def _knock(rng: np.random.Generator, fall_s: float) -> Wave:
    """A burst of noise that rings at one frequency and dies away."""
    after = np.arange(max(8, to_samples(8 * fall_s))) / SAMPLE_RATE
    ring = np.sin(2 * np.pi * rng.uniform(500.0, 6000.0) * after)
    return (rng.standard_normal(len(after)) + ring) * np.exp(-after / fall_s)


def _add(wave: Wave, at_s: float, sound: Wave) -> None:
    """Mix a sound into a wave, as much of it as fits."""
    start = min(to_samples(at_s), len(wave))
    stop = min(start + len(sound), len(wave))
    wave[start:stop] += sound[: stop - start]
