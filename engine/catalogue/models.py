"""Every known model, read from `catalogue.toml`: one entry each, kept once. Other modules look models up here."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from engine.catalogue.sources import STRICT
from engine.catalogue.sources.address import Address
from engine.catalogue.sources.folder import Folder
from engine.catalogue.sources.hub import HUB_ID, Hub
from engine.catalogue.sources.package import Package
from engine.catalogue.sources.registry import Registry
from engine.errors import NotFoundError
from engine.extensions import host_file
from engine.messages import NOTHING, Text

AnySource = Package | Hub | Folder | Address | Registry
SOURCES: dict[str, type[AnySource]] = {kind.kind: kind for kind in (Package, Hub, Folder, Address, Registry)}
"""By the word for it in the catalogue."""
Architecture = Literal["causal", "seq2seq", "classification", "extraction", "masked", "embedding"]

CATALOGUE_FILE = Path(__file__).with_name("catalogue.toml")
FAMILIES_FILE = Path(__file__).with_name("families.toml")
MEMORY_SHARE = 6
"""Memory of a student at work over its published weights: 110 MB were measured for 17."""
SOMEWHERE = Text("FLORES-200")
PROMPT_STYLES = ("", "few-shot", "names", "t5", "pair", "tags", "codes", "instruct")


@dataclass(frozen=True)
class Model:
    """One model. Sizes in bytes; languages are ISO 639-1 codes."""

    id: str
    title: str
    family: str
    architecture: Architecture
    runtime: str
    """What its files are for: "llamacpp" (GGUF), "transformers" (a folder), or a runtime of the host's own."""
    parameters: int
    languages: tuple[str, ...]
    licence: str
    size_bytes: int
    memory_bytes: int
    applications: tuple[str, ...]
    """Those that offer it. Of a model from the Hub none are named: each application says whether it suits."""
    source: AnySource
    licence_url: str = ""
    context_tokens: int = 512
    is_embedded: bool = False
    is_chat: bool = False
    """Has a chat template; without it the application writes a plain prompt."""
    prompt_style: str = ""
    """How it is asked: translate "few-shot" | "names" (tuned to do without examples, with English on one side) | "t5" |
    "pair" | "tags" | "codes", write "instruct" (learned from prompts and responses); empty is the application's
    default."""
    pair: tuple[str, str] | None = None
    """Source and target language of a model that translates only one pair."""
    labels: tuple[str, ...] = ()
    """Of a classifier that tells labels of its own apart, which are shown as they are."""
    base_id: str = ""
    """Of a fine-tuned run: the model it was trained from."""
    bleu: float | dict[str, float] = field(default=0.0, hash=False)
    """Of a translator, or of each direction ("de-en") of one that knows several; 0 where that is not known."""
    comet: float = 0.0
    measured_on: Text = SOMEWHERE
    """What both were measured on: by Mozilla FLORES devtest, by us lines of dev that nobody had trained on."""
    sources: tuple[str, ...] = ()
    """Languages that it translates from, where those are not all of its languages."""
    best_in: tuple[str, ...] = ()
    """Languages in which it reaches what was wanted of it, and so answers where nobody chose a model."""
    note: Text = NOTHING
    """One sentence for people: what it is good for, its terms."""

    __pydantic_config__: ClassVar[Any] = STRICT

    @property
    def is_language_model(self) -> bool:
        """Whether it goes on with any text: a decoder without an encoder."""
        return self.architecture == "causal"

    def bleu_of(self, source: str, target: str) -> float:
        """Of that direction; 0 where it is not known."""
        return self.bleu.get(f"{source}-{target}", 0.0) if isinstance(self.bleu, dict) else self.bleu


class CatalogueError(ValueError):
    """The catalogue file is wrong; the message names the entry and the key. A bug, not a visitor's fault."""


class Catalogue:
    """The known models by id, in the order of the pickers (defaults first)."""

    def __init__(self, models: Iterable[Model]) -> None:
        self.models = {model.id: model for model in models}
        self.describe: Callable[[str], Model | None] = lambda model_id: None
        """Set by the store: a downloaded Hub model as its files describe it."""
        self.is_ready: Callable[[str], bool] = lambda model_id: self.models[model_id].is_embedded
        """Set by the store: whether a model's weights are here."""
        self.at_hand: Callable[[Iterable[Model]], Iterable[Model]] = lambda models: models
        """Set by the store: those of many models of which something is here, found by one look at the disk."""

    def ready(self, models: Iterable[Model]) -> list[Model]:
        """Those whose weights are here. It reads files: once for all that is to be told of them."""
        return [model for model in self.at_hand(models) if self.is_ready(model.id)]

    def find(self, model_id: str) -> Model:
        """The model of that id; `hub:owner/name[@revision]` also before it is downloaded, then without applications.

        Raises NotFoundError.
        """
        if model_id in self.models:
            return self.models[model_id]
        typed = HUB_ID.fullmatch(model_id)
        if typed is None or ".." in model_id or "--" in model_id:
            known = Text("Hub models are written hub:owner/name. Choose one of the list.")
            step = known if model_id.startswith("hub:") else Text("Choose one of the list.")
            raise NotFoundError("There is no model {id}. {step}", param="model", id=repr(model_id[:120]), step=step)
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
            source = model.source
            if isinstance(source, Hub) and source.repository == repository and revision in (None, source.revision):
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
        licence=str(Text("see its page")),
        size_bytes=0,
        memory_bytes=0,
        applications=(),
        source=Hub(typed["repository"], typed["revision"] or "main"),
        licence_url=f"https://huggingface.co/{typed['repository']}",
        note=Text("From the Hub; what it can do is read from its files."),
    )


def read_catalogue(*paths: Path) -> Catalogue:
    """The catalogue's files, checked: ours, then the host's own (in PARLANCE_EXTENSIONS), unless others are named.

    A folder that one of the others names lies beside it. Heads that nobody has trained yet are left out.
    Raises CatalogueError naming the entry and the key, or the two files that use one id.
    """
    files: dict[str, Path] = {}
    models = []
    for path in paths or filter(None, [CATALOGUE_FILE, FAMILIES_FILE, host_file("catalogue.toml")]):
        for model in _read_file(path):
            if model.id in files:
                raise CatalogueError(f"{model.id}: this id is taken twice, in {files[model.id]} and in {path}")
            files[model.id] = path
            models.append(model if path in (CATALOGUE_FILE, FAMILIES_FILE) else _beside(path, model))
    return Catalogue(model for model in models if model.source.is_made())


def _beside(path: Path, model: Model) -> Model:
    if not isinstance(model.source, Folder):
        return model
    return replace(model, source=replace(model.source, folder=str(path.parent / model.source.folder)))


def _read_file(path: Path) -> list[Model]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{path.name}: {error}") from error
    if unknown := set(document) - {"models", "pairs"}:
        raise CatalogueError(f"{path.name}: unknown table {sorted(unknown)[0]}")
    single = [read_model(id, table) for id, table in document.get("models", {}).items()]
    return single + [model for name, table in document.get("pairs", {}).items() for model in _read_pairs(name, table)]


def _read_pairs(name: str, table: Mapping[str, Any]) -> list[Model]:
    """One model for each of `repositories` ("en-fr" -> Hub repository) and each row of `registry` and `folders`."""
    rows = [
        (codes, {"source": {"kind": "hub", "repository": repository}})
        for codes, repository in table.get("repositories", {}).items()
    ]
    rows += [_registry_row(codes, row) for codes, row in table.get("registry", {}).items()]
    rows += [_folder_row(name, codes, row) for codes, row in table.get("folders", {}).items()]
    common = {key: value for key, value in table.items() if key not in ("repositories", "registry", "folders")}
    models = []
    for codes, facts in rows:
        source, _, target = codes.partition("-")
        own = {
            "title": str(common.get("title", name)).format(source=source, target=target),
            "languages": [source, target],
            "pair": [source, target],
        }
        models.append(read_model(f"{name}-{codes}", common | own | facts))
    return models


def _registry_row(codes: str, row: list[Any]) -> tuple[str, dict[str, Any]]:
    """A direction and what is written of it: network, bytes of the weights and of the download, BLEU, COMET."""
    network, size, packed, bleu, comet = row
    source = {"kind": "registry", "direction": codes, "network": network, "packed_bytes": packed}
    facts = {"parameters": size, "size_bytes": size, "memory_bytes": MEMORY_SHARE * size}  # weights of a byte each
    return codes, {"source": source, "bleu": bleu, "comet": comet, **facts}


def _folder_row(name: str, codes: str, row: list[Any]) -> tuple[str, dict[str, Any]]:
    """A direction that is a part of the repository: bytes of its folder, BLEU."""
    size, bleu = row
    facts = {"parameters": size, "size_bytes": size, "memory_bytes": MEMORY_SHARE * size}  # weights of a byte each
    return codes, {"source": {"kind": "local", "folder": f"models/{name}-{codes}"}, "bleu": bleu, **facts}


def read_model(id: str, table: Mapping[str, Any]) -> Model:
    """One entry, checked. Raises CatalogueError naming the key."""
    source = table.get("source", {})
    kind = source.get("kind") if isinstance(source, Mapping) else None
    if kind not in SOURCES:
        raise CatalogueError(f"{id}: source.kind is not valid: one of {', '.join(SOURCES)}")
    _read(kind, f"{id}.source", source)  # first, since of a union's faults no sentence can be made
    model: Model = _read("model", id, dict(table) | {"id": id})
    _check(model)
    return model


@cache
def _reader(name: str) -> Any:
    from pydantic import TypeAdapter  # not needed by the children that download

    return TypeAdapter(SOURCES.get(name, Model))


def _read(name: str, where: str, table: Mapping[str, Any]) -> Any:
    """A source of that kind, or a model, from a table: no key unknown, none missing, each of its field's type."""
    from pydantic import ValidationError

    try:
        return _reader(name).validate_json(json.dumps(table, default=str), strict=True)  # JSON has lists for tuples
    except ValidationError as error:
        faults = error.errors()
        fault = next((each for each in faults if each["type"] == "unexpected_keyword_argument"), faults[0])
        *path, key = map(str, fault["loc"])
        place = ".".join([where, *path])
        if fault["type"] == "missing":
            raise CatalogueError(f"{place}: {key} is missing") from error
        if fault["type"] == "unexpected_keyword_argument":
            raise CatalogueError(f"{place}: unknown key {key}") from error
        raise CatalogueError(f"{place}: {key} is not valid: {fault['msg']}, not {fault['input']!r}") from error


def _check(model: Model) -> None:
    """Raise CatalogueError where a value is outside what the rest of the engine understands."""
    sizes = (model.size_bytes, model.memory_bytes, model.parameters)
    fault = model.source.fault()
    rules = {
        "applications": all(re.fullmatch(r"[a-z][a-z0-9_]*", id) for id in model.applications),
        "prompt_style": model.prompt_style in PROMPT_STYLES,
        "bleu": not isinstance(model.bleu, dict) or set("-".join(model.bleu).split("-")) <= set(model.languages),
        "pair": model.pair is None or set(model.pair) <= set(model.languages),
        "sources": set(model.sources) <= set(model.languages),
        "best_in": set(model.best_in) <= set(model.languages),
        "sizes": min(sizes) > 0 or not model.source.has_weights,
        f"source.{fault}": not fault,
    }
    for name, holds in rules.items():
        if not holds:
            raise CatalogueError(f"{model.id}: {name} is not valid")
