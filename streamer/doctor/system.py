"""Python, TensorFlow, the disk, the configuration and the desktop."""

from __future__ import annotations

import argparse
import locale
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator

from streamer import __version__, configuration
from streamer.doctor.finding import OK, PROBLEM, WARNING, Finding
from streamer.errors import TypingError
from streamer.models import import_tensorflow
from streamer.processor import instruction_sets
from streamer.typing_tools import CLIPBOARDS, TYPING, clipboards_for, tools_for

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
FULL_MODEL_BYTES = 400e6 * 2  # the archive, and what is unpacked from it


def python(_options: argparse.Namespace) -> Iterator[Finding]:
    """Tell the versions of this program, and whether it can write its characters."""
    version, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    yield Finding(
        "streamer",
        OK,
        f"{__version__} on Python {version}, {system}",
        facts={"streamer": __version__, "python": version, "system": system},
    )
    encoding = locale.getpreferredencoding(False)
    is_utf8 = encoding.lower().replace("-", "") == "utf8"
    if not is_utf8:
        yield Finding(
            "text",
            WARNING,
            f"the terminal writes {encoding}, not UTF-8: the status line may look wrong",
            "export LANG=C.UTF-8",
            {"encoding": encoding},
        )


def configuration_in_force(options: argparse.Namespace) -> Iterator[Finding]:
    """Tell what was configured, without the values."""
    if options.damage is not None:
        message = "is damaged, and most commands refuse it; `streamer config` says where and why"
        yield Finding("configuration", PROBLEM, message, "streamer config")
        return
    set_ = [s for s in options.settings if s.origin != configuration.DEFAULT]
    unknown = configuration.unknown_variables(os.environ, options.settings)
    origins = sorted({setting.origin for setting in set_})
    message = f"{len({s.option for s in set_})} options set by {', '.join(origins)}"
    if unknown:
        yield Finding(
            "configuration",
            WARNING,
            f"no option has the name of {', '.join(unknown)}",
            f"unset {' '.join(unknown)}",
        )
    yield Finding(
        "configuration",
        OK,
        message if set_ else "none, all options have their defaults",
        facts={"options": sorted({setting.option for setting in set_})},
    )


def machine(_options: argparse.Namespace) -> Iterator[Finding]:
    """Import TensorFlow, and tell what it runs on."""
    began_s = time.perf_counter()
    try:
        import_tensorflow()
        import tensorflow as tf
    except Exception as error:  # An import of native libraries fails in many ways.
        yield Finding(
            "TensorFlow",
            PROBLEM,
            f"cannot be imported: {error}",
            f"{sys.executable} -m pip install --force-reinstall tensorflow",
        )
        return
    import_s = time.perf_counter() - began_s
    n_cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    flags = instruction_sets()
    instructions = [name for name in INSTRUCTIONS if name in flags]
    has_vectors = not flags or {"avx2", "asimd"} & set(flags)
    yield Finding(
        "TensorFlow",
        OK if has_vectors else WARNING,
        f"{tf.__version__}, {n_cores} cores, {', '.join(instructions) or 'no known'} instructions"
        + ("" if has_vectors else ": without AVX2 everything is slow"),
        facts={
            "tensorflow": tf.__version__,
            "import_s": round(import_s, 2),
            "cores": n_cores,
            "instructions": instructions,
        },
    )


def disk(_options: argparse.Namespace) -> Iterator[Finding]:
    """See whether models can be kept."""
    from streamer.models.archive import models_folder

    path = models_folder()
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    if not os.access(path, os.W_OK):
        remedy = "export STREAMER_MODELS_DIR=FOLDER"
        yield Finding("disk", PROBLEM, "the folder for models cannot be written to", remedy)
    elif free < FULL_MODEL_BYTES:
        yield Finding(
            "disk",
            WARNING,
            f"{free / 1e9:.1f} GB free where models are kept; the full one needs 0.8",
            "export STREAMER_MODELS_DIR=FOLDER",
            {"free_bytes": free},
        )
    else:
        message = f"{free / 1e9:.0f} GB free where models are kept"
        yield Finding("disk", OK, message, facts={"free_bytes": free})


def typing(_options: argparse.Namespace) -> Iterator[Finding]:
    """Find what can type into this session's windows."""
    tools = tools_for(os.environ)
    here = [name for name in (*TYPING, *CLIPBOARDS) if shutil.which(name)]
    facts = {"session": "wayland" if "dotool" in tools else "x11" if tools else None, "here": here}
    if not tools:
        yield Finding(
            "dictation", OK, "no desktop here; it can go to a file or a command", None, facts
        )
        return
    try:
        from streamer.typing_tools import target

        description = target("auto").description
    except TypingError as error:
        remedy = f"sudo apt install {tools[0]}"
        yield Finding("dictation", WARNING, str(error), remedy, facts)
        return
    clipboard = any(name in here for name in clipboards_for(os.environ))
    text = f"what you say is {description}" + ("" if clipboard else "; no clipboard program")
    yield Finding("dictation", OK, text, None, facts)
