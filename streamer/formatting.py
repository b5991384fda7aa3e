"""Words as recognised -> text to read: sentence case, sentence ends, numbers as digits.

Most models of the kind used here write upper case without punctuation. What can be said by rules is
said by rules: a pause ends a sentence, unless the word before it cannot ("the", "and"); a sentence
that begins like a question ("do you", "where is he") ends with a question mark. There are no
commas, and no names but a short list of those beyond doubt. Where a model has written case and
marks (`Word.written`), they are taken from it; only where an utterance ends the rules decide
whether a sentence does, because such a model puts a full stop behind whatever it is given.

The words of the events stay as they were recognised: a formatter makes copies to be shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import overload

from streamer.casing import capitalised, cased, lowered
from streamer.clock_times import half_of_day
from streamer.events import AudioDropped, DeviceLost, Event, Final, Partial, Word
from streamer.number_words import NUMBER_WORDS, ZEROS
from streamer.numbers import write_number
from streamer.phrases import Match, Phrase, Written, decided
from streamer.second_pass import ENDS, MARKS, ends_sentence, marks_of, with_marks, without_marks
from streamer.settings import TextStyle

# A pause after these is hesitation.
NEVER_LAST = set(
    "a an the and or but nor if because although though unless than of from with into onto upon "
    "my your our their its whose very quite every i'm you're we're they're i've you've we've "
    "they've i'll we'll they'll uh um".split()
)
# Few words that begin with one of these are a part of a sentence: "in winter", "and then".
LINKING = set(
    "and as at after although because before between but by during for from if in into of on or "
    "since than though through to under unless until when where while which with without".split()
)
N_FRAGMENT_WORDS = 3
AUXILIARIES = set(
    "am are is was do does did have has can could will would shall may might "
    "aren't isn't wasn't weren't don't doesn't didn't haven't hasn't can't couldn't won't wouldn't "
    "shouldn't".split()
)
PRONOUNS = {"i", "you", "he", "she", "it", "we", "they", "there"}
ASKING = {"what", "where", "when", "why", "who", "whom", "how"}


class Formatter:
    """Makes copies of events whose words are as they are read, and joined by spaces their text.

    What the `stable_text` of one partial shows is the beginning of what that of the next one
    shows: words that may still become part of something, like "TWENTY", are not stable yet.
    """

    def __init__(self, style: TextStyle) -> None:
        self._style = style
        self._begins_sentence = True

    @overload
    def push(self, event: Partial) -> Partial: ...
    @overload
    def push(self, event: Final) -> Final: ...
    @overload
    def push(self, event: Event) -> Event: ...
    def push(self, event: Event) -> Event:
        """The event as it is to be shown; one without words is returned as it is."""
        if isinstance(event, Partial):
            return self._partial(event)
        if isinstance(event, Final):
            return self._final(event)
        lost_s = event.duration_s if isinstance(event, AudioDropped) else 0.0
        is_gap = isinstance(event, DeviceLost) or lost_s >= self._style.sentence_pause_s
        if is_gap and self._style.sentence_ends:
            self._begins_sentence = True
        return event

    def _partial(self, event: Partial) -> Partial:
        n_stable = len(event.stable_text.split())
        heard = list(event.words)
        if len(heard) > n_stable:
            # A model that writes marks ends whatever it was given with one.
            heard[-1] = replace(heard[-1], written=without_marks(heard[-1].written))
        words = self._shown(heard, is_complete=True)
        text = _joined(words)
        stable_text = _joined(self._shown(heard[:n_stable], is_complete=False))
        return replace(
            event,
            stable_text=stable_text,
            unstable_text=text[len(stable_text) :].lstrip(),
            text=text,
            words=words,
        )

    def _final(self, event: Final) -> Final:
        words = self._shown(event.words, is_complete=True, is_over=True)
        sentences = split_into_sentences(event.words, self._style)
        for sentence, is_followed in with_what_follows(sentences):
            self._begins_sentence = self._ends(sentence, is_followed)
        return replace(event, words=words, text=_joined(words))

    def _shown(
        self, words: Sequence[Word], is_complete: bool, is_over: bool = False
    ) -> tuple[Word, ...]:
        """The words as they are read.

        Args:
            words: The words of an utterance, as recognised.
            is_complete: Whether to take them as they are; else what words to come may still
                change is left out.
            is_over: Whether the utterance is over, so that its last sentence ends.
        """
        shown: list[Word] = []
        begins = self._begins_sentence
        sentences = split_into_sentences(words, self._style)
        for sentence, is_followed in with_what_follows(sentences):
            phrase = phrase_of(sentence, is_complete or is_followed)
            block = self._written(phrase, sentence, begins)
            if begins and block:
                block[0] = replace(block[0], word=capitalised(block[0].word))
            begins = self._ends(sentence, is_followed)
            if is_followed or is_over:
                text = block[-1].word
                if not begins:
                    text = without_marks(text) + marks_of(text).rstrip(ENDS)
                elif text[-1] not in ENDS:
                    text = text.rstrip(MARKS)
                    text += end_mark(text, phrase, self._style)
                block[-1] = replace(block[-1], word=text)
            shown += block
        return tuple(shown)

    def _ends(self, sentence: Sequence[Word], is_followed: bool) -> bool:
        """Whether what stands between two breaks is a whole sentence."""
        if is_followed and sentence[-1].written:
            return True  # It was broken there because of its full stop.
        return can_end(sentence, self._style)

    def _written(self, phrase: Phrase, words: Sequence[Word], begins: bool) -> list[Word]:
        def rule(phrase: Phrase, at: int) -> Match[Written]:
            match = write(phrase, at, self._style)
            is_known = begins or at > 0 or has_case_of_its_own(words[at])
            if is_known and match.n_words == 1:
                text = as_written(match.pieces[0].text, words[at], phrase, at)
                return Match((Written(text),), 1)
            return match

        block: list[Word] = []
        at = 0
        for match in decided(phrase, rule):
            for written in match.pieces:
                span = words[at : at + written.n_words]
                block.append(_merged(span, with_marks(written.text, marks_of(span[-1].written))))
                at += written.n_words
        return block


def phrase_of(words: Sequence[Word], is_complete: bool) -> Phrase:
    """The words as the rules read them, with the marks that are no part of "p. m." and the like."""
    marks = [
        "" if _are_spelled(words[at : at + 2]) else marks_of(word.written)
        for at, word in enumerate(words)
    ]
    return Phrase([word.word for word in words], is_complete, marks)


def write(phrase: Phrase, at: int, style: TextStyle) -> Match[Written]:
    """Write the word or the number that begins at a word, as it stands inside a sentence."""
    if not style.is_english:
        return Match((Written(lowered(phrase, at)),), 1)
    if number := write_number(phrase, at, style.numbers):
        return Match(number, sum(written.n_words for written in number))
    if half := half_of_day(phrase, at):
        return Match((half,), half.n_words)
    return Match((Written(cased(phrase, at)),), 1)


def as_written(text: str, word: Word, phrase: Phrase, at: int) -> str:
    """The text in the case that the model has written, if it is but the word at `at`."""
    if word.written and text == cased(phrase, at):
        written = without_marks(word.written)
        return capitalised(written) if len(text) == 1 and text.isupper() else written
    return text


def has_case_of_its_own(word: Word) -> bool:
    """Whether its case tells more than where a model has begun to write: "NASA", "McDonald"."""
    return any(map(str.isupper, word.written[1:]))


def split_into_sentences(words: Sequence[Word], style: TextStyle) -> list[Sequence[Word]]:
    """Split words behind a written full stop, or at a pause where no marks are written."""
    sentences: list[Sequence[Word]] = []
    begin = 0
    for at in range(1, len(words) + 1):
        is_end = ends_sentence(words[at - 1].written) and not _are_spelled(words[at - 1 : at + 1])
        if at == len(words) or is_end:
            block = words[begin:at]
            begin = at
            sentences += [block] if block[0].written else split_at_pauses(block, style)
    return sentences


def _are_spelled(words: Sequence[Word]) -> bool:
    """Whether they are two letters of "p. m." and the like."""
    return len(words) > 1 and words[0].word != "I" and all(len(word.word) == 1 for word in words)


def with_what_follows(
    sentences: Sequence[Sequence[Word]],
) -> Iterator[tuple[Sequence[Word], bool]]:
    """Each of the sentences, and whether another one follows."""
    for number, sentence in enumerate(sentences, start=1):
        yield sentence, number < len(sentences)


def split_at_pauses(words: Sequence[Word], style: TextStyle) -> Iterator[Sequence[Word]]:
    """Split words where a pause is long enough, and is no hesitation.

    Whether there is a split depends on the words beside it alone, and on their times.
    """
    begin = 0
    for at in range(1, len(words)):
        before, after = words[at - 1], words[at]
        if after.start_s - before.end_s < style.sentence_pause_s:
            continue
        if style.is_english and _belong_together(before.word.lower(), after.word.lower()):
            continue
        yield words[begin:at]
        begin = at
    if words:
        yield words[begin:]


def _belong_together(before: str, after: str) -> bool:
    numbers = NUMBER_WORDS | ZEROS
    return before in NEVER_LAST or (before in numbers and after in numbers)


def can_end(words: Sequence[Word], style: TextStyle) -> bool:
    """Whether a pause after the words, not split by any other, ends a sentence."""
    if not style.sentence_ends:
        return False
    if not style.is_english:
        return True
    phrase = phrase_of(words, is_complete=True)
    is_fragment = len(words) <= N_FRAGMENT_WORDS and phrase[0] in LINKING
    if is_fragment and not _is_question(phrase):
        return False
    return phrase[len(phrase) - 1] not in NEVER_LAST


def end_mark(text: str, sentence: Phrase, style: TextStyle) -> str:
    """What is put after `text`, the last of a sentence; nothing in a writing without full stops."""
    last = text[-1]
    if not (last.lower() != last.upper() or last.isdigit() or last in "'%"):
        return ""
    return "?" if style.is_english and _is_question(sentence) else "."


def _is_question(sentence: Phrase) -> bool:
    """Whether it begins like a question that can be nothing else: "do you", "what is it"."""
    at = 1 if sentence[0] in ASKING else 0
    return sentence[at] in AUXILIARIES and sentence[at + 1] in PRONOUNS


def _merged(words: Sequence[Word], text: str) -> Word:
    return Word(
        word=text,
        start_s=words[0].start_s,
        end_s=words[-1].end_s,
        confidence=min(word.confidence for word in words),
    )


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word.word for word in words)
