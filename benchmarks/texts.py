"""Texts made on the spot, the same at every call: sizes and mixtures are what counts here, not what they say."""

from __future__ import annotations

from random import Random

_TEXT = (
    "the film story was slow warm and brilliant dull actors never quite but scenes music ending with river town old "
    "bridge harbour winter light small train garden market teacher letter window mountain summer evening quiet road "
    "people found their way home after rain had fallen for seven days near sea boat captain asked whether anyone knew "
    "where lighthouse keeper lived since his daughter left island many years ago to study in city across bay"
)
WORDS = tuple(_TEXT.split())
QUESTIONS = (
    "Where did the captain live?", "When was the bridge built?", "Who wrote the letter?", "Why was the road quiet?",
    "How many days did the rain fall?",
)  # fmt: skip
STORY_TOPICS = (
    "a lighthouse keeper who befriends a whale", "a train that only runs at night", "the last clockmaker of a town",
    "two sisters and a broken boat", "a garden under the snow", "a letter that arrives forty years late",
    "the bridge that nobody crossed", "a teacher who could not sleep",
)  # fmt: skip

TOP_K = 50
"""Of the stories, on all sides: what `transformers` takes by default."""

PROMPT_TOKENS = 26


def story_prompt(number: int) -> str:
    """An opening that a model carries on, of about `PROMPT_TOKENS` tokens; no two visitors share one."""
    return f"Story number {number}, about {STORY_TOPICS[number % len(STORY_TOPICS)]}.\n\nIn a small town by the sea"


def sentence(source: Random, words: int) -> str:
    """A row of words with a capital and a full stop."""
    text = " ".join(source.choices(WORDS, k=max(1, words)))
    return f"{text[0].upper()}{text[1:]}."


def mixed_rows(count: int, seed: int = 0) -> list[str]:
    """Texts of 4 to 120 words, most of them short, as people send them."""
    source = Random(seed)
    return [sentence(source, min(120, 4 + int(source.expovariate(1 / 20)))) for _ in range(count)]


def passages(count: int, seed: int = 1) -> list[str]:
    """Passages of 30 to 100 words."""
    source = Random(seed)
    return [
        " ".join(sentence(source, source.randint(10, 20)) for _ in range(source.randint(3, 5))) for _ in range(count)
    ]


def documents(count: int, words: int = 1000, seed: int = 2) -> list[str]:
    """Long documents of about so many words, in paragraphs."""
    source = Random(seed)
    return [" ".join(sentence(source, 15) for _ in range(words // 15)) for _ in range(count)]


def short_sentences(count: int, seed: int = 3) -> list[str]:
    """Sentences of 6 to 24 words, to be translated."""
    source = Random(seed)
    return [sentence(source, source.randint(6, 24)) for _ in range(count)]
