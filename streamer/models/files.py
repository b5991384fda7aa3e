"""Reading the small and the large files that a model consists of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.errors import ModelError

if TYPE_CHECKING:
    from hashlib import _Hash


class UnverifiableError(ModelError):
    """Nothing is known of a model's files that they could be compared with."""


def read_json(path: Path) -> Any:
    """What a JSON file holds, or None where there is no file.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error


def checksum_of(path: Path, checksum: _Hash) -> str:
    """The hexadecimal digest of a file of any size, added to what `checksum` has taken in."""
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            checksum.update(data)
    return checksum.hexdigest()
