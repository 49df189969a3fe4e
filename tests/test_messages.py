"""Sentences for people: templates and facts, said in the visitor's language; none escapes in English."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from brackets import CODE, brackets
from streamlit.delta_generator import DeltaGenerator

from engine import translations
from engine.errors import InputError, MemoryShortError, PeopleError
from engine.messages import Text, counted, read

__all__ = ["brackets"]

ROOT = Path(__file__).parents[1]


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


def test_a_translators_slip_leaves_the_sentence_english() -> None:
    class Slip(gettext.NullTranslations):
        def gettext(self, message: str) -> str:
            return "{feld} fehlt."

    assert Text("{field} is missing.", field="text").said_in(Slip()) == "text is missing."
    with pytest.raises(KeyError):
        str(Text("{field} is missing.", name="text"))


def test_the_template_is_up_to_date() -> None:
    assert translations.TEMPLATE.read_bytes() == translations.template(), "run `make messages`"


MARKS = {"_", "Text", "counted", *translations.error_names()}
NO_TEXT = {
    "Page",
    "form",
    "version",
    "logo",
    "set_page_config",
    "columns",
    "html",
    "page_link",
    "switch_page",
    "update",
}
ELEMENTS = {name for name in [*dir(DeltaGenerator), *dir(st)] if not name.startswith("_")} - NO_TEXT
TEMPLATE = re.compile(r"[A-Z{][^\n`]*\{\w+(:[^}{ ]*)?\}[^\n`]*\.$")
"""A sentence with facts; comments and docstrings have backticks around theirs."""
PROSE = r"[^\W\d_]{2,}"
TEXTS = {"label", "help", "placeholder", "alt", "text", "title", "body", "delta", "page_title", "show_spinner"}
"""Arguments of elements that people read, beside the first."""


def calls(*rooms: str) -> Iterator[tuple[str, str, ast.Call]]:
    """Place, name and node of each call in the files of these folders."""
    for path in sorted(path for room in rooms for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and not ast.unparse(node.func).startswith("log."):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield place, ast.unparse(node.func).rpartition(".")[2], node


def literals(node: ast.AST) -> str:
    """The words that an expression holds itself: not those of calls, keys and conditions in it, nor icons and HTML."""
    if isinstance(node, ast.Call | ast.Lambda | ast.Compare):
        return ""
    words = [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
    parts = [node.value] if isinstance(node, ast.Subscript) else ast.iter_child_nodes(node)
    return re.sub(r":material/\w*:?|<[^>]*>|Parlance", "", " ".join([*words, *map(literals, parts)]))


def test_sentences_are_templates() -> None:
    """A sentence put together in the code cannot be translated."""
    escaped = []
    for place, name, call in calls("engine", "pages"):
        if name in MARKS and call.args:
            first = call.args[0]
            is_template = isinstance(first, ast.Constant) or not re.search(r"[^\W\d_]", literals(first))
            prose = [word.arg for word in call.keywords if re.search("[a-z]{2,} [a-z]{2,}", literals(word.value))]
            if not is_template or prose:
                escaped.append(f"{place} {name} {prose}")
    assert not escaped, "\n".join(escaped)


def test_every_template_is_marked_where_it_stands() -> None:
    """One that is handed to a call under a name is not extracted."""
    known = translations.template().decode().replace('"\n"', "")
    escaped = []
    for path in sorted(path for room in ("engine", "pages") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            is_template = TEMPLATE.match(words) and path.name not in ("write.py", "verse.py")  # orders for models
            if is_template and words.replace('"', r"\"") not in known:
                escaped.append(f"{path.relative_to(ROOT)}:{node.lineno} {words}")
    assert not escaped, "\n".join(escaped)


def test_pages_say_no_literal() -> None:
    escaped = []
    for place, name, call in calls("pages"):
        if name in ELEMENTS:
            shown = [*call.args[:1], *(word.value for word in call.keywords if word.arg in TEXTS)]
            escaped += [f"{place} {name}({ast.unparse(node)})" for node in shown if re.search(PROSE, literals(node))]
    assert not escaped, "\n".join(escaped)


@pytest.mark.parametrize(
    "word", ["[Aa]cted", "[Pp]reflight", "[Pp]ickers?", "One run", "character at at", "Context is empty"]
)
def test_people_are_told_in_words_of_the_pages(word: str) -> None:
    """None of the code's own words that stood on pages once."""
    catalogue = (ROOT / "locale" / "parlance.pot").read_text(encoding="utf-8")
    said = " ".join(re.findall(r'^(?:msgid(?:_plural)? )?"(.*)"$', catalogue, re.M))
    assert not re.findall(rf"\b{word}\b", re.sub(r"\{[^}]*\}", "", said))
