"""The models: whether they are intact, and whether this machine keeps up with them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import soundfile

from streamer.bench.memory import peak_memory_mb
from streamer.doctor.finding import OK, PROBLEM, WARNING, Finding
from streamer.errors import ModelError, StreamerError
from streamer.models import store
from streamer.models.archive import pulled_names
from streamer.models.catalogue import CATALOGUE, STARTER
from streamer.models.files import UnverifiableError
from streamer.pipeline import Pipeline
from streamer.settings import SAMPLE_RATE, Settings

KEEPS_UP = 0.8  # of the time that there is


def installed_models(options: argparse.Namespace) -> Iterator[Finding]:
    """Find the models of this machine, and look at each."""
    if options.model != "auto":
        yield from model_findings(options.model)
        return
    installed, pulled = [], pulled_names()
    for name in dict.fromkeys([*(entry.name for entry in CATALOGUE), *pulled]):
        try:
            store.find(name)
        except ModelError:
            if name in pulled:
                remedy = f"streamer models pull {name}"
                yield Finding(f"model {name}", PROBLEM, "is damaged: a part is missing", remedy)
            continue
        installed.append(name)
    for name in installed:
        yield from model_findings(name)
    if installed == [STARTER]:
        yield Finding(
            "full model",
            WARNING,
            "is not here; starter is small, and hears less well",
            "streamer models pull wav2vec2-960h",
        )


def model_findings(name: str) -> Iterator[Finding]:
    """Look at one model, with the bundled sample."""
    from streamer import models
    from streamer.cli import sample_path

    checked = ""
    if (origin := store.origin_of(name)) is not None:
        try:
            checked = f"files intact ({origin.verify()}), "
        except UnverifiableError as error:
            yield Finding(f"model {name}", WARNING, str(error))
        except StreamerError as error:  # It says what to remove before the model is pulled again.
            yield Finding(f"model {name}", PROBLEM, str(error))
            return
    try:
        began_s = time.perf_counter()
        model = models.load(name)
        ready_s: list[float] = []  # after each step

        def keep_going(n_done: int, _: int) -> bool:
            if n_done:
                ready_s.append(time.perf_counter() - began_s)
            return True

        model.warm_up(keep_going)
    except ModelError as error:
        yield Finding(f"model {name}", PROBLEM, str(error), "streamer models")
        return
    samples, _ = soundfile.read(sample_path(), dtype="float32")
    duration_s = len(samples) / SAMPLE_RATE
    took_s = {}
    for partials in (False, True):
        pipeline = Pipeline(model, Settings(partials=partials))
        began_s = time.perf_counter()
        pipeline.push(samples)
        pipeline.flush()
        took_s[partials] = time.perf_counter() - began_s
    rtf, live_rtf = took_s[False] / duration_s, took_s[True] / duration_s
    facts = {
        "ready_s": round(ready_s[0], 2),
        "all_lengths_s": round(ready_s[-1], 2),
        "rtf": round(rtf, 4),
        "rtf_with_partials": round(live_rtf, 4),
        "peak_memory_mb": round(peak_memory_mb() or 0),
    }
    speed = f"{checked}ready after {ready_s[0]:.1f} s, takes {rtf:.0%} of the time of speech"
    if rtf > KEEPS_UP:
        yield Finding(
            f"model {name}",
            PROBLEM,
            f"{speed}: too slow for live speech on this machine",
            "streamer --model starter",
            facts,
        )
    elif live_rtf > KEEPS_UP:
        yield Finding(
            f"model {name}",
            WARNING,
            f"{speed}: keeps up, with fewer intermediate results ({live_rtf:.0%} with all)",
            facts=facts,
        )
    else:
        message = f"{speed}, {live_rtf:.0%} with live results: keeps up"
        yield Finding(f"model {name}", OK, message, facts=facts)
