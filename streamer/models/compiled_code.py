"""What XLA has compiled, kept for the next start.

TensorFlow can keep compiled functions in a folder and find them by their graph. That spares most
of the seconds that compiling takes; but it fails where a file is damaged or cannot be written, and
does not ask which processor the code is for. So there is a folder for each processor, and it may be
thrown away at any time.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import platformdirs

from streamer.processor import fingerprint

FLAGS = "TF_XLA_FLAGS"  # TensorFlow reads it when it first compiles
MOST_FILES = 32  # of 2 to 10 MB; a program that traces other functions first needs its own
LEAST_FREE_BYTES = 200e6  # Where the disk is full, keeping would fail, and compiling with it.

logger = logging.getLogger(__name__)


def folder() -> Path:
    """Where compiled functions are kept: in the user's cache, by processor and versions."""
    versions = f"{version('tensorflow')}-{version('streamer')}"
    return platformdirs.user_cache_path("streamer") / "compiled" / fingerprint() / versions


def keep() -> None:
    """Have TensorFlow keep what it compiles; throw away the oldest, and what other versions kept.

    Not where TensorFlow has been imported before, or its flags say where to keep it: then that is
    the business of the program that did so. Nor where nothing can be kept.
    """
    flags = os.environ.get(FLAGS, "")
    if "tensorflow" in sys.modules or "persistent_cache" in flags:
        return
    try:
        kept = folder()
        kept.mkdir(parents=True, exist_ok=True)
        is_full = shutil.disk_usage(kept).free < LEAST_FREE_BYTES
        if not os.access(kept, os.W_OK) or is_full or "'" in str(kept):
            return
        for other in kept.parent.iterdir():
            if other != kept:
                shutil.rmtree(other, ignore_errors=True)
        newest_first = sorted(kept.glob("*.pb"), key=lambda file: -file.stat().st_mtime)
        for file in newest_first[MOST_FILES:]:
            file.unlink(missing_ok=True)
    except (OSError, PackageNotFoundError) as error:
        logger.info("What is compiled cannot be kept: %s", error)
        return
    # Between quotes, because a user's folder may have a blank in its name.
    os.environ[FLAGS] = (
        f"{flags} --tf_xla_persistent_cache_directory='{kept}' "
        "--tf_xla_persistent_cache_device_types=CPU"
    ).strip()


def forget() -> bool:
    """Throw away what was kept; returns whether there was something."""
    flags = os.environ.get(FLAGS, "")
    if "persistent_cache" not in flags or str(kept := folder()) not in flags:
        return False
    files = list(kept.glob("*.pb"))
    for file in files:
        file.unlink(missing_ok=True)
    return bool(files)
