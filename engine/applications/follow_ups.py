"""Questions that lean on the one before: "And when?", "How tall is it?" are completed by it."""

from __future__ import annotations

import re

MAX_ALONE_WORDS = 3
"""A question of so few words that names nothing leans on the one before."""
MAX_ANSWER_WORDS = 8
"""Of the answer before, which is then worth naming too: "When was she born?" needs it."""
_BEGINNINGS = re.compile(
    r"\s*(?:(?:and|but|so|also|what about|how about|et|mais|alors|und|aber|y|pero|e)\b|那|还有|而)",
    re.IGNORECASE,
)
_POINTERS = re.compile(
    r"\b(?:it|its|he|him|his|she|hers?|they|them|their|theirs|this|that|these|those|there|then|one|ones|"
    r"il|elle|ils|elles|lui|leur|leurs|celui-ci|celle-ci|cela|ça|y|er|sie|es|ihn|ihm|ihr|ihre|dort|dies|diese[rsmn]?|"
    r"él|ella|ellos|ellas|eso|esto|allí|su|sus)\b|[它他她这那]",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<!^)\b[^\W\d_a-zà-ÿ][^\W\d_]+")
"""A word with a capital that is not the first."""


def leans(question: str) -> bool:
    """Whether a question says what it is about only together with the one before."""
    words = re.findall(r"[^\W_]+", question)
    if _BEGINNINGS.match(question) or (len(words) <= MAX_ALONE_WORDS and not _NAME.search(question)):
        return True
    return bool(_POINTERS.search(question)) and not _NAME.search(question)


def completed(question: str, before: str, answer: str = "") -> str:
    """The question with the one before and its answer in front; "" where it stands alone."""
    if not before.strip() or not leans(question):
        return ""
    answer = answer.strip() if len(answer.split()) <= MAX_ANSWER_WORDS else ""
    named = f" {answer.rstrip('.。')}." if answer else ""
    return f"{before.strip()}{named} {question.strip()}"
