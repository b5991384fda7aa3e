from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.decoder import DecodedWord
from streamer.stabiliser import Stabiliser

LAG = 3
Hypothesis = list[DecodedWord]


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


@given(hypotheses())
def test_the_stable_prefix_never_changes_or_shrinks(pushed: list[tuple[Hypothesis, int]]) -> None:
    stabiliser, stable = Stabiliser(LAG), []
    for hypothesis, edge in pushed:
        stabiliser.push(hypothesis, edge)
        assert stabiliser.stable[: len(stable)] == stable
        stable = list(stabiliser.stable)


@given(hypotheses())
def test_a_word_is_stable_only_when_two_agreed_and_it_ended_before_the_lag(
    pushed: list[tuple[Hypothesis, int]],
) -> None:
    stabiliser, before = Stabiliser(LAG), []
    for hypothesis, edge in pushed:
        n_stable = len(stabiliser.stable)
        stabiliser.push(hypothesis, edge)
        for word in stabiliser.stable[n_stable:]:
            assert word in hypothesis
            assert word.text in [old.text for old in before]
            assert word.stop <= edge - LAG
        before = hypothesis


@given(hypotheses())
def test_nothing_unstable_lies_before_what_is_stable(pushed: list[tuple[Hypothesis, int]]) -> None:
    stabiliser = Stabiliser(LAG)
    for hypothesis, edge in pushed:
        stabiliser.push(hypothesis, edge)
        assert set(stabiliser.unstable) <= set(hypothesis)
        shown = stabiliser.stable + stabiliser.unstable
        middles = [word.start + word.stop for word in shown]
        assert middles == sorted(middles)


def test_one_hypothesis_makes_nothing_stable() -> None:
    stabiliser = Stabiliser(LAG)
    stabiliser.push(words("A B"), edge=100)
    assert (texts(stabiliser.stable), texts(stabiliser.unstable)) == ("", "A B")


def test_words_become_stable_when_the_next_hypothesis_agrees() -> None:
    stabiliser = Stabiliser(LAG)
    stabiliser.push(words("A B C"), edge=30)
    stabiliser.push(words("A B D"), edge=40)
    assert (texts(stabiliser.stable), texts(stabiliser.unstable)) == ("A B", "D")


def test_a_word_at_the_edge_waits_until_it_is_older_than_the_lag() -> None:
    stabiliser = Stabiliser(LAG)
    stabiliser.push(words("A B"), edge=20)
    stabiliser.push(words("A B"), edge=20 + LAG - 1)
    assert texts(stabiliser.stable) == "A"
    stabiliser.push(words("A B"), edge=20 + LAG)
    assert texts(stabiliser.stable) == "A B"


def test_agreement_begins_again_after_a_change() -> None:
    stabiliser = Stabiliser(LAG)
    for text, stable in [("A", ""), ("B", ""), ("A", ""), ("A", "A")]:
        stabiliser.push(words(text), edge=100)
        assert texts(stabiliser.stable) == stable


def test_what_a_later_hypothesis_calls_a_stable_word_does_not_matter() -> None:
    stabiliser = Stabiliser(LAG)
    stabiliser.push(words("A B"), edge=100)
    stabiliser.push(words("A B"), edge=100)
    stabiliser.push(words("X Y C"), edge=100)
    assert (texts(stabiliser.stable), texts(stabiliser.unstable)) == ("A B", "C")


def test_after_a_reset_nothing_is_left() -> None:
    stabiliser = Stabiliser(LAG)
    stabiliser.push(words("A B"), edge=100)
    stabiliser.push(words("A B"), edge=100)
    stabiliser.reset()
    assert (stabiliser.stable, stabiliser.unstable) == ([], [])
    stabiliser.push(words("A"), edge=100)
    assert stabiliser.stable == []
