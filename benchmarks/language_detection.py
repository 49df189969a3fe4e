"""How often the language of a few words is told, and how often rightly, among those that the embedded models serve.

Run `python -m benchmarks.language_detection --data FOLDER [--words 3]`, where FOLDER holds `translation/`: the first
words of every line of FLORES-200 dev (997 lines each; of Chinese, twice as many characters). No model is loaded.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from benchmarks.translation_quality import FLORES, flores
from engine.applications.languages import SURE, detect_language


def beginning(line: str, code: str, words: int) -> str:
    """So many words, or twice as many characters where no spaces part them."""
    return line[: 2 * words] if code == "zh" else " ".join(line.split()[:words])


def judged(lines: list[str], code: str, among: list[str]) -> Counter[str]:
    """How many were acted on as certain, of those how many rightly, and how many taken for a language outside."""
    counts: Counter[str] = Counter(texts=len(lines))
    for line in lines:
        guess = detect_language(line, among)
        is_sure = guess.is_allowed and guess.probability >= SURE
        counts["certain"] += is_sure
        counts["right"] += is_sure and guess.code == code
        counts["outside"] += not guess.is_allowed
    return counts


def main() -> None:
    """Print a line a language, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--words", type=int, default=3)
    parser.add_argument("--languages", default="en,fr,de,es,zh", help="codes, with commas between them")
    options = parser.parse_args()
    among = options.languages.split(",")
    if unknown := set(among) - set(FLORES):
        parser.error(f"--languages: {', '.join(sorted(unknown))} not among {', '.join(FLORES)}.")
    total: Counter[str] = Counter()
    for code in among:
        lines = [beginning(line, code, options.words) for line in flores(options.data / "translation", code)]
        counts = judged(lines, code, among)
        total += counts
        print(in_words(code, counts))
    print(in_words("all", total))


def in_words(name: str, counts: Counter[str]) -> str:
    """Shares of all texts, and of the certain ones the share that is right."""
    certain, outside = counts["certain"] / counts["texts"], counts["outside"] / counts["texts"]
    right = counts["right"] / max(1, counts["certain"])
    return f"{name}: certain {certain:.1%}, of those right {right:.1%}; taken for another language {outside:.2%}"


if __name__ == "__main__":
    main()
