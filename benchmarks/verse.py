"""How often verse keeps its form, how long it takes and how often lines were asked for again.

Run `python -m benchmarks.verse` for fifty haiku and fifty couplets by each embedded model; `--form`, `--model`,
`--language`, `--count` and `--first` choose, `--read` prints the verse.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

from benchmarks.ours import CALLER, open_engine, wait_loaded
from engine.applications.write import APPLICATION, WriteRequest, WriteResult
from engine.serving.protocol import Engine

MODELS, FORMS = ("smollm2-135m-instruct", "gemma-3-270m"), ("haiku", "couplet")
LIMIT_SECONDS = 10.0
THEMES = {
    "en": "the first snow in the city|a lighthouse keeper|spring rain|a cat at the window|the sea at night|"
    "an old piano|my grandmother's kitchen|the last bus home|a heron in the river|summer thunder|"
    "new shoes|a letter that never came|the smell of bread|a garden in March|"
    "the moon over the harbour|a broken clock|crows in the field|morning coffee|"
    "a child learning to swim|dust on the bookshelf|the neighbour's dog|a long train journey|harvest|"
    "frost on the glass|an empty playground|bees|a fishing boat|moving house|the night shift|"
    "a red umbrella|falling asleep|the market square|a mountain path|goodbye at the airport|"
    "an apple tree|fireflies|the dentist|a candle|old photographs|a bridge in fog|learning to cook|"
    "the first day of school|a spider's web|snow melting|a lost key|the library|wind in the wheat|"
    "a lullaby|city lights|the dog who waits",
    "de": "der erste Schnee|Regen im Garten|ein alter Hund|das Meer bei Nacht|Morgenkaffee|ein Leuchtturm|"
    "der letzte Bus|Äpfel|Nebel am Fluss|Großmutters Küche",
    "fr": "la première neige|la pluie au jardin|un vieux chien|la mer la nuit|le café du matin|un phare|le dernier bus|"
    "les pommes|la brume sur la rivière|la cuisine de grand-mère",
    "es": "la primera nieve|la lluvia en el jardín|un perro viejo|el mar de noche|el café de la mañana|un faro|"
    "el último autobús|las manzanas|la niebla en el río|la cocina de mi abuela",
    "zh": "初雪|春雨|思乡|夜海|早茶|灯塔|末班车|苹果树|江雾|外婆的厨房",
}


def themes(language: str) -> list[str]:
    return [one.strip() for one in THEMES[language].split("|")]


def one(engine: Engine, about: str, form: str, model: str, language: str, seed: int) -> tuple[WriteResult, float]:
    """One poem and its seconds, as page and API make it."""
    started = time.perf_counter()
    asked = WriteRequest(about, "poem", form=form, model=model, language=language, seed=seed)  # type: ignore[arg-type]
    result: WriteResult = APPLICATION.run(engine, asked, CALLER)
    return result, time.perf_counter() - started


def line(form: str, model: str, made: Sequence[tuple[WriteResult, float]]) -> str:
    """What came of them, in a sentence."""
    verses = [result.verse for result, _ in made if result.verse]
    seconds = [took for _, took in made]
    kept = sum(verse.is_kept for verse in verses)
    within = sum(verse.is_kept and took <= LIMIT_SECONDS for verse, took in zip(verses, seconds, strict=True))
    return (
        f"{form}, {model}: {kept} of {len(made)} keep the form, {within} within {LIMIT_SECONDS:.0f} s; "
        f"{statistics.median(seconds):.1f} s median, {max(seconds):.1f} s at most; "
        f"{statistics.fmean(verse.retries for verse in verses):.1f} rounds again a poem, "
        f"{statistics.fmean(verse.candidates for verse in verses):.0f} candidates"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--form", action="append")
    parser.add_argument("--model", action="append")
    parser.add_argument("--language", default="en")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--read", action="store_true")
    chosen = parser.parse_args()
    engine, about = open_engine(), themes(chosen.language)
    for model in chosen.model or MODELS:
        wait_loaded(engine, model)
        one(engine, "a warm stove", "haiku", model, "en", 0)  # what comes once: the dictionary, the slots' first prompt
        for form in chosen.form or FORMS:
            made = []
            for number in range(chosen.first, chosen.first + chosen.count):
                made.append(one(engine, about[number % len(about)], form, model, chosen.language, 1000 * number))
                if chosen.read:
                    verse = made[-1][0].verse
                    print(
                        f"\n{made[-1][0].text}\n-- {about[number % len(about)]}, {verse and verse.is_kept}", flush=True
                    )
            print(line(form, model, made), flush=True)
    engine.close()


if __name__ == "__main__":
    main()
