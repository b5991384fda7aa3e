"""What a second pass will probably write: the draft that its decoder reads in large blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from streamer.second_pass import MARKS


def draft(heard: str, written: str) -> str:
    """Guess what will be written, from what CTC has heard and what was written a moment ago.

    What was written is believed, with its case and marks, but not that it reaches beyond what was
    heard. What was heard is believed where nothing was written for it: at the ends.

    Args:
        heard: Words of this sound.
        written: The text of a beginning of it, or of anything else.
    """
    new, old = heard.lower().split(), written.rstrip(MARKS).split()
    said = [re.sub("[^a-z']", "", word.lower()) for word in old]
    same = Levenshtein.editops(said, new).as_matching_blocks()  # ends with an empty one
    if 2 * sum(block.size for block in same) < min(len(new), len(old)):
        return _with_full_stop(new)
    words: list[str] = []
    i = j = 0
    for block in same:
        were, are = old[i : block.a], new[j : block.b]
        if i == 0:
            words += are[: max(0, len(are) - len(were))] + were[max(0, len(were) - len(are)) :]
        elif block.a == len(old):
            words += were[: len(are)] + are[len(were) :]
        else:
            words += were
        i, j = block.a + block.size, block.b + block.size
        words += old[block.a : i]
    return _with_full_stop(words)


def _with_full_stop(words: Sequence[str]) -> str:
    text = " ".join(words).rstrip(MARKS)
    return f"{text[:1].upper()}{text[1:]}."
