"""The languages that the interface speaks: gettext's catalogues in `locale/` and in the host's own folder.

`python -m engine.translations` (`make messages`) writes the template that translators start from.
"""

from __future__ import annotations

import ast
import gettext
import io
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from inspect import cleandoc
from itertools import pairwise
from pathlib import Path

from engine import __version__, errors
from engine.messages import ENGLISH, Language, label
from engine.settings import ROOT, current

DOMAIN = "parlance"
TEMPLATE = ROOT / "locale" / f"{DOMAIN}.pot"
MAX_TAGS = 20
"""Of an Accept-Language header that are looked at."""


@cache
def languages() -> tuple[str, ...]:
    """Codes of the languages that the interface speaks, English first."""
    found = {path.parents[1].name for folder in _folders() for path in folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")}
    return ("en", *sorted(found - {"en"}))


def code_of(preferred: Iterable[str]) -> str:
    """The first of the preferred languages (BCP 47 tags, such as `pt-BR`) that the interface speaks, else English."""
    known = {code.lower(): code for code in languages()}
    for tag in preferred:
        name = tag.replace("-", "_").lower()
        for spoken in (name, name.partition("_")[0]):
            if spoken in known:
                return known[spoken]
    return "en"


def language(preferred: Iterable[str]) -> Language:
    """The catalogue of the first of the preferred languages that the interface speaks, else English."""
    return catalogue(code_of(preferred))


def accepted(header: str) -> list[str]:
    """The tags of an Accept-Language header, the most wanted first (RFC 9110, 12.5.4)."""
    weighted = []
    for part in header.split(",")[:MAX_TAGS]:
        tag, _, weight = part.partition(";q=")
        try:
            weighted.append((-float(weight or 1), tag.strip()))
        except ValueError:
            continue
    return [tag for weight, tag in sorted(weighted, key=lambda pair: pair[0]) if weight < 0]


@cache
def catalogue(code: str) -> Language:
    """The sentences of the language with that code."""
    for folder in _folders():
        if gettext.find(DOMAIN, folder, [code]):
            return gettext.translation(DOMAIN, folder, [code])
    return ENGLISH


def _folders() -> Sequence[Path]:
    host = current().extensions
    return [ROOT / "locale", *([host / "locale"] if host else [])]


def template() -> bytes:
    """Every sentence for people in the code, as a gettext template. Needs Babel (requirements-dev.txt)."""
    from babel.messages import Catalog
    from babel.messages.pofile import write_po

    found = Catalog(project="Parlance", version=__version__)
    for path in sorted(path for room in ("engine", "pages") for path in (ROOT / room).rglob("*.py")):
        for sentence in sentences(path.read_text(encoding="utf-8")):
            found.add(sentence, locations=[(str(path.relative_to(ROOT)), 1)])
    catalogue = tomllib.loads((ROOT / "engine/catalogue/catalogue.toml").read_text(encoding="utf-8"))
    entries = [entry for entries in catalogue.values() for entry in entries.values()]
    for sentence in [entry[key] for entry in entries for key in ("note", "measured_on") if key in entry]:
        found.add(sentence, locations=[("engine/catalogue/catalogue.toml", 1)])
    written = io.BytesIO()
    write_po(written, found, omit_header=True, sort_output=True, include_lineno=False, width=120)
    return written.getvalue()


def sentences(code: str) -> Iterator[str | tuple[str, str]]:
    """What a file marks: templates, or a singular and its plural; names and docstrings of fields that a page shows.

    Babel's own extractor reads tokens, and joins what stands in a condition or an index into one sentence.
    """
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            yield from _marked(node)
        if isinstance(node, ast.keyword) and node.arg in ("roles", "optional_roles"):
            yield from (str(label(name)) for name in _literals(getattr(node.value, "elts", [])))
        if isinstance(node, ast.ClassDef) and "attribute_docstrings" in "".join(map(ast.unparse, node.decorator_list)):
            yield from _fields(node)


def _marked(call: ast.Call) -> Iterator[str | tuple[str, str]]:
    name, words = ast.unparse(call.func).rpartition(".")[2], _literals(call.args[:2])
    if name in {"_", "Text", "counted", *error_names()} and words and words[0]:
        yield (words[0], words[1]) if name == "counted" else words[0]


def _fields(described: ast.ClassDef) -> Iterator[str]:
    for field, note in pairwise(described.body):
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr):
            yield str(label(ast.unparse(field.target)))
            yield from map(cleandoc, _literals([note.value]))


def _literals(nodes: Iterable[ast.AST]) -> list[str]:
    return [one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)]


@cache
def error_names() -> list[str]:
    """The names of all errors meant for people, wherever in the engine: what the code calls with a template."""
    texts = (path.read_text(encoding="utf-8") for path in sorted((ROOT / "engine").rglob("*.py")))
    kinds = [kind for text in texts for kind in re.findall(r"^class (\w+)\((\w+)\):", text, re.MULTILINE)]
    names = [errors.PeopleError.__name__]
    for name in names:
        names += [kind for kind, parent in kinds if parent == name and kind not in names]
    return names


if __name__ == "__main__":
    TEMPLATE.write_bytes(template())
