from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from streamer.decoder import DecodedWord
from streamer.settings import SAMPLE_RATE, Settings
from streamer.stabiliser import N_MISSED, Stabiliser

LAG, SHOWN_LAG = 6, 3
Hypothesis = list[DecodedWord]


def stabiliser_of(agreement: int = 3) -> Stabiliser:
    return Stabiliser(
        Settings(
            stable_agreement=agreement,
            shown_lag_s=SHOWN_LAG / SAMPLE_RATE,
            first_word_confidence=0.5,
        ),
        stable_lag=LAG,
    )


def words(text: str, start: int = 0) -> Hypothesis:
    """Each word ten samples long, one after the other."""
    return [
        DecodedWord(word, start + 10 * i, start + 10 * i + 10, 1.0)
        for i, word in enumerate(text.split())
    ]


def texts(hypothesis: Hypothesis) -> str:
    return " ".join(word.text for word in hypothesis)


@st.composite
def hypotheses(draw: st.DrawFn) -> list[tuple[Hypothesis, int]]:
    """Successive hypotheses, each with its edge: words change, move, come and go."""
    found, edge = [], 0
    for _ in range(draw(st.integers(1, 8))):
        edge += draw(st.integers(0, 8))
        n_edges = 2 * draw(st.integers(0, 5))
        edges = sorted(draw(st.lists(st.integers(0, edge), min_size=n_edges, max_size=n_edges)))
        hypothesis = [
            DecodedWord(draw(st.sampled_from("AB")), start, stop, 1.0)
            for start, stop in zip(edges[::2], edges[1::2], strict=True)
        ]
        found.append((hypothesis, edge))
    return found


@given(hypotheses(), st.integers(2, 4))
def test_the_stable_prefix_never_changes_or_shrinks(
    pushed: list[tuple[Hypothesis, int]], agreement: int
) -> None:
    stabiliser, stable = stabiliser_of(agreement), []
    for hypothesis, edge in pushed:
        stabiliser.push(hypothesis, edge)
        assert stabiliser.stable[: len(stable)] == stable
        assert texts(stabiliser.joined(hypothesis)).startswith(texts(stabiliser.stable))
        stable = list(stabiliser.stable)


@given(hypotheses())
def test_a_word_is_stable_only_when_three_agreed_and_it_ended_before_the_lag(
    pushed: list[tuple[Hypothesis, int]],
) -> None:
    stabiliser = stabiliser_of(3)
    before: list[Hypothesis] = [[], []]
    for hypothesis, edge in pushed:
        n_stable = len(stabiliser.stable)
        stabiliser.push(hypothesis, edge)
        for word in stabiliser.stable[n_stable:]:
            assert all(any(word.text in old.text for old in words) for words in before)
            assert word.stop <= edge - LAG
        before = [before[1], hypothesis]


@given(hypotheses())
def test_what_is_shown_is_in_order_and_of_the_last_hypotheses(
    pushed: list[tuple[Hypothesis, int]],
) -> None:
    stabiliser = stabiliser_of()
    heard: list[set[str]] = []
    for hypothesis, edge in pushed:
        stabiliser.push(hypothesis, edge)
        heard = [*heard, {word.text for word in hypothesis}][-N_MISSED - 1 :]
        for word in stabiliser.unstable:
            assert any(word.text in hypothesis_texts for hypothesis_texts in heard)
        shown = stabiliser.stable + stabiliser.unstable
        middles = [word.start + word.stop for word in shown]
        assert middles == sorted(middles)


def test_the_first_word_is_shown_at_once_if_it_is_sure() -> None:
    stabiliser = stabiliser_of()
    stabiliser.push(words("A B"), edge=20)
    assert (texts(stabiliser.stable), texts(stabiliser.unstable)) == ("", "A")
    unsure = stabiliser_of()
    unsure.push([replace(word, confidence=0.4) for word in words("A B")], edge=20)
    assert unsure.unstable == []


def test_other_words_are_shown_when_two_hypotheses_agree_and_they_are_over() -> None:
    stabiliser = stabiliser_of()
    stabiliser.push(words("A B C"), edge=30)
    stabiliser.push(words("A B C"), edge=30 + SHOWN_LAG - 1)
    assert texts(stabiliser.unstable) == "A B"
    stabiliser.push(words("A B C D"), edge=40)
    assert (texts(stabiliser.stable), texts(stabiliser.unstable)) == ("A B C", "")


def test_what_is_shown_is_taken_back_only_when_it_stays_away_or_is_something_else() -> None:
    stabiliser = stabiliser_of()
    for heard, shown in [
        ("A B C", "A"),
        ("A B C", "A B"),
        ("A", "A B"),
        ("A B", "A B"),
        ("A", "A B"),
        ("A X", "A B"),
        ("A X", "A X"),
        *[("A", "A X")] * (N_MISSED - 1),
        ("A", "A"),
    ]:
        doubted = [replace(word, is_doubted=True) for word in words(heard)]
        stabiliser.push(doubted, edge=20 + SHOWN_LAG)
        assert texts(stabiliser.stable + stabiliser.unstable) == shown


def test_what_was_shown_is_gone_when_a_pause_shows_all() -> None:
    stabiliser = stabiliser_of()
    stabiliser.push(words("A B"), edge=20, is_pause=True)
    stabiliser.push(words("A"), edge=30, is_pause=True)
    assert texts(stabiliser.unstable) == "A"


def test_in_a_pause_all_is_shown() -> None:
    stabiliser = stabiliser_of()
    stabiliser.push(words("A B"), edge=20, is_pause=True)
    assert texts(stabiliser.unstable) == "A B"


def test_words_become_stable_when_so_many_hypotheses_agree() -> None:
    for agreement in (2, 3, 4):
        stabiliser = stabiliser_of(agreement)
        for n_pushed in range(1, 6):
            stabiliser.push(words("A B"), edge=100)
            assert texts(stabiliser.stable) == ("A B" if n_pushed >= agreement else "")


def test_a_word_at_the_edge_waits_until_it_is_older_than_the_lag() -> None:
    stabiliser = stabiliser_of(2)
    stabiliser.push(words("A B"), edge=20)
    stabiliser.push(words("A B"), edge=20 + LAG - 1)
    assert texts(stabiliser.stable) == "A"
    stabiliser.push(words("A B"), edge=20 + LAG)
    assert texts(stabiliser.stable) == "A B"


def test_agreement_begins_again_after_a_change() -> None:
    stabiliser = stabiliser_of(2)
    for text, stable in [("A", ""), ("B", ""), ("A", ""), ("A", "A")]:
        stabiliser.push(words(text), edge=100)
        assert texts(stabiliser.stable) == stable


def stable_a_b() -> Stabiliser:
    stabiliser = stabiliser_of(2)
    stabiliser.push(words("A B"), edge=100)
    stabiliser.push(words("A B"), edge=100)
    return stabiliser


def test_what_a_later_hypothesis_calls_a_stable_word_does_not_matter() -> None:
    stabiliser = stable_a_b()
    assert texts(stabiliser.joined(words("X Y C"))) == "A B C"
    stabiliser.push(words("X Y C"), edge=100, is_pause=True)
    assert (texts(stabiliser.stable), texts(stabiliser.unstable)) == ("A B", "C")


def test_a_hypothesis_may_leave_out_what_is_stable() -> None:
    assert texts(stable_a_b().joined(words("C D", start=20))) == "A B C D"


def test_a_hypothesis_that_agrees_is_taken_with_its_times() -> None:
    later = [replace(word, start=word.start + 1) for word in words("A B C")]
    assert stable_a_b().joined(later) == later


def test_a_word_that_has_grown_since_it_became_stable_goes_on_as_another() -> None:
    grown = [*words("A"), DecodedWord("BC", 10, 35, 1.0)]
    assert texts(stable_a_b().joined(grown)) == "A B C"


def test_what_is_left_of_a_word_that_has_grown_is_written_so() -> None:
    stabiliser = stabiliser_of(2)
    for _ in range(2):
        stabiliser.push([DecodedWord("TO", 0, 10, 1.0, "To")], edge=100)
    grown = DecodedWord("TODAY", 0, 25, 1.0, "Today,")
    assert stabiliser.joined([grown])[1:] == [DecodedWord("DAY", 10, 25, 1.0, "day,")]
    other = replace(grown, written="Tues,")
    assert stabiliser.joined([other])[1:] == [DecodedWord("DAY", 10, 25, 1.0, "")]


def test_a_word_that_touches_the_last_stable_one_is_another() -> None:
    for second in ("B", "BC"):
        for begins in (19, 20, 21):  # B ended at 20.
            following = DecodedWord(second, begins, 35, 1.0)
            assert texts(stable_a_b().joined([*words("A B"), following])) == f"A B {second}"
            assert texts(stable_a_b().joined([*words("X B"), following])) == f"A B {second}"


def test_a_short_word_that_moves_is_not_heard_twice() -> None:
    stabiliser = stable_a_b()
    for begins in range(16, 24):  # B ended at 20, and is the last word but one of the hypothesis.
        moved = [DecodedWord("B", begins, begins + 10, 1.0), DecodedWord("C", 35, 45, 1.0)]
        assert texts(stabiliser.joined([*words("X A")[1:], *moved])) == "A B C"
        twice = [*words("A B"), DecodedWord("B", begins, begins + 10, 1.0)]
        assert texts(stabiliser.joined(twice)) == "A B B"


def test_what_lies_before_the_utterance_is_left_out() -> None:
    stabiliser = stabiliser_of()
    stabiliser.reset(12)
    assert stabiliser.joined(words("X A B")) == [
        DecodedWord("A", 12, 20, 1.0),
        DecodedWord("B", 20, 30, 1.0),
    ]


def test_after_a_reset_nothing_is_left() -> None:
    stabiliser = stable_a_b()
    stabiliser.reset(0)
    assert (stabiliser.stable, stabiliser.unstable, stabiliser.next_start) == ([], [], None)
    stabiliser.push(words("A"), edge=100)
    assert stabiliser.stable == []


def marked(text: str) -> Hypothesis:
    """Words as a model writes them, with marks."""
    plain = words(text.replace(",", "").replace(".", "").upper())
    return [replace(word, written=w) for word, w in zip(plain, text.split(), strict=True)]


def test_marks_of_stable_words_stay_and_come_late_where_they_were_not_certain() -> None:
    stabiliser = stabiliser_of(agreement=2)
    edge = 10_000
    stabiliser.push(marked("Yes, no."), edge)
    stabiliser.push(marked("Yes, no."), edge)
    assert [word.written for word in stabiliser.stable] == ["Yes,", "no"]
    stabiliser.push(marked("Yes, no, I"), edge)
    stabiliser.push(marked("Yes. no, I do"), edge)
    assert [word.written for word in stabiliser.stable] == ["Yes,", "no,", "I"]
    joined = stabiliser.joined(marked("Yes! no! I do"))
    assert [word.written for word in joined] == ["Yes,", "no,", "I", "do"]


def test_a_mark_behind_the_last_stable_word_comes_when_another_word_follows() -> None:
    stabiliser, edge = stabiliser_of(agreement=2), 10_000
    for _ in range(2):
        stabiliser.push(marked("Yes, no."), edge)
    assert stabiliser.joined(marked("Yes, no, I"))[1].written == "no,"
    stabiliser.push(stabiliser.joined(marked("Yes, no, I")), edge)
    assert [word.written for word in stabiliser.stable] == ["Yes,", "no"]
    stabiliser.push(stabiliser.joined(marked("Yes, no, I do")), edge)
    assert [word.written for word in stabiliser.stable] == ["Yes,", "no,", "I"]


def test_what_a_second_pass_has_written_otherwise_is_shown_but_not_stable() -> None:
    stabiliser = stabiliser_of(agreement=2)
    doubted = [replace(word, is_doubted=True) for word in words("NO OH")]
    for _ in range(4):
        stabiliser.push(doubted, 10_000)
    assert (stabiliser.stable, [word.text for word in stabiliser.unstable]) == ([], ["NO", "OH"])
    for _ in range(2):
        stabiliser.push(words("NO OH"), 10_000)
    assert [word.text for word in stabiliser.stable] == ["NO", "OH"]
