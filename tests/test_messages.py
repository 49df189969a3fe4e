"""Sentences for people: templates and facts, said in the visitor's language; none escapes in English."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from engine import settings, translations
from engine.errors import InputError, MemoryShortError, PeopleError
from engine.messages import Text, counted, read

ROOT = Path(__file__).parents[1]
CODE = "qps"
"""The made-up language, in which every sentence stands in ⟦brackets⟧."""


@pytest.fixture
def brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A catalogue of the made-up language in the host's own folder, made from the template."""
    catalogue = read_po(io.BytesIO(translations.template()))
    for message in catalogue:
        forms = (message.id,) if isinstance(message.id, str) else message.id
        said = tuple(f"⟦{form}⟧" for form in forms)
        message.string = said[0] if isinstance(message.id, str) else said
    folder = tmp_path / "locale" / CODE / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "parlance.mo").open("wb") as file:
        write_mo(file, catalogue)
    monkeypatch.setenv("PARLANCE_EXTENSIONS", str(tmp_path))
    forget()
    yield
    forget()


def forget() -> None:
    settings.current.cache_clear()
    translations.languages.cache_clear()
    translations._catalogue.cache_clear()


def test_a_sentence_keeps_template_and_facts_apart() -> None:
    error = InputError("{field} has {count:,} rows.", param="text", field="Text", count=3000)
    assert str(error) == "Text has 3,000 rows." and error.param == "text"
    assert str(InputError("Braces {stay} as they are.")) == "Braces {stay} as they are."
    assert [str(counted("{count} row", "{count} rows", n)) for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert str(Text("{cause} Go on.", cause=error)) == "Text has 3,000 rows. Go on."


def test_a_sentence_survives_a_file() -> None:
    text = Text("{cause} {names}", cause=counted("{count} row is bad.", "{count} rows are bad.", 2), names=["a", "b"])
    assert str(read(text.as_json())) == str(text) == "2 rows are bad. a, b"
    assert str(read("A sentence with {braces} of an earlier version.")).endswith("{braces} of an earlier version.")


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", ["de-DE", "de", "en"]),
        ("en;q=0.2, fr ;q=0.7", ["fr", "en"]),
        ("de;q=0, *;q=x", []),
        ("", [""]),
    ],
)
def test_accepted_languages_by_their_weight(header: str, tags: list[str]) -> None:
    assert translations.accepted(header) == tags


def test_errors_are_said_in_the_language_that_is_wanted(brackets: None) -> None:
    assert translations.languages() == ("en", CODE)
    wanted = translations.language(["de", f"{CODE}-XA"])
    error = PeopleError(Text("Nothing is in memory. {next}", next=MemoryShortError("Braces {stay}.")))
    assert error.text.said_in(wanted) == str(error), "a sentence that no catalogue has stays English"
    assert InputError("A mean needs at least two runs.").text.said_in(wanted) == "⟦A mean needs at least two runs.⟧"
    assert translations.language(["en", CODE]).gettext("Use") == "Use"


def test_the_template_is_up_to_date() -> None:
    assert translations.TEMPLATE.read_bytes() == translations.template(), "run `make messages`"
