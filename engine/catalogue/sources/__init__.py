"""Where weights come from, one class a kind: whether they are here, how they are fetched, found and deleted, the words.

The store calls these and knows no kind by name; a model's entry in the catalogue holds one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engine.catalogue.transfer import Transfer
from engine.errors import ConflictError, NotFoundError
from engine.messages import Text
from engine.sizes import size_in_words

if TYPE_CHECKING:
    from engine.catalogue.cache import Cache
    from engine.catalogue.models import Model

STRICT = {"extra": "forbid"}
"""For pydantic, which reads these classes from the catalogue."""
NOTHING = Text("")
State = Literal["ready", "absent", "fetching", "failed"]


@dataclass(frozen=True)
class Availability:
    """Whether a model can be used now, and if not, how far it is. Speed and time are None while unknown."""

    state: State
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_second: float | None = None
    seconds_left: float | None = None
    message: Text = NOTHING


@dataclass(frozen=True)
class Fetching:
    """A model on its way, as its source sees it: files go to `folder`/files."""

    model: Model
    folder: Path
    known: Mapping[str, Any]
    """The manifest of what is installed under this id; {} when nothing is."""
    transfer: Transfer
    timeout_seconds: float
    registry: str
    """Address of the list of translators."""
    check_room: Callable[[int], None]
    """Raises NotReadyError where the disk has no room for so many bytes."""
    is_owners: bool = False
    """Whether the owner asked for it, whose token of the Hub then goes with it."""


@dataclass(frozen=True)
class Fetched:
    """What a source brought: name of each file -> sha256, and what else the manifest shall say."""

    digests: Mapping[str, str]
    notes: Mapping[str, Any] = field(default_factory=dict)


class Source:
    """A kind of source, frozen dataclasses. Unless they say otherwise, somebody else keeps the weights."""

    __pydantic_config__: ClassVar[Any] = STRICT
    is_fetched: ClassVar[bool] = False
    """Whether the store fetches it into its cache and may delete it from there."""
    has_weights: ClassVar[bool] = True
    """Whether its weights are on this machine once it is ready."""
    is_listed: ClassVar[bool] = True
    """Whether pickers offer it before it is here; of a large family they do not."""

    @property
    def carrier(self) -> str:
        """The id of the model without whose files these weights are not whole; empty mostly."""
        return ""

    def is_made(self) -> bool:
        """Whether there is such a thing at all, here or elsewhere."""
        return True

    def fault(self) -> str:
        """The key of the catalogue's entry that holds what it cannot; empty where all is well."""
        return ""

    def is_of(self, manifest: Mapping[str, Any]) -> bool:
        """Whether an installed model's manifest tells of this source, not of an earlier one under the same id."""
        return False

    def download_bytes(self, model: Model) -> int:
        """What fetching it transfers; 0 while unknown."""
        return 0

    def availability(self, model: Model, cache: Cache) -> Availability:
        """The model's state, from a few small files and never from the network."""
        raise NotImplementedError

    def fetch(self, work: Fetching) -> Fetched:
        """Bring the files into `work.folder`/files, checked; only of sources that are fetched."""
        raise NotImplementedError

    def hand_on(self, folder: Path, other: Source, target: Path) -> None:
        """Move what came over the network for this model, in `folder`, to where another one will want it."""

    def path(self, model: Model, cache: Cache) -> Path:
        """The file or the folder of a ready model."""
        raise NotImplementedError

    def delete(self, model: Model, cache: Cache) -> None:
        """Delete what is here of the model. Raises ConflictError where that is not the store's to do, NotFoundError."""
        raise ConflictError(self.keeper(), param="model")

    def next_step(self, model: Model) -> Text:
        """What a person does while the model is not here."""
        raise NotImplementedError

    def keeper(self) -> Text:
        """Who keeps the files, where the store must not delete them."""
        return Text("")


class Kept(Source):
    """What sources share whose weights the store fetches into its cache."""

    is_fetched: ClassVar[bool] = True

    def download_bytes(self, model: Model) -> int:
        return model.size_bytes

    def availability(self, model: Model, cache: Cache) -> Availability:
        problem, total = cache.problem(model), self.download_bytes(model)
        if problem is None:
            return Availability("ready", model.size_bytes, model.size_bytes)
        if problem.template:
            return Availability("failed", 0, total, message=problem)
        return Availability("absent", 0, total, message=Text("{title} is not downloaded yet.", title=model.title))

    def path(self, model: Model, cache: Cache) -> Path:
        cache.touch(model.id)
        return cache.whole(model.id)

    def delete(self, model: Model, cache: Cache) -> None:
        if not cache.delete(model.id):
            raise NotFoundError("Nothing of {title} is in the cache.", param="model", title=model.title)

    def next_step(self, model: Model) -> Text:
        licence, size = model.licence, self.download_bytes(model)
        if not size:
            return Text("Download it first (licence {licence}).", licence=licence)
        return Text("Download it first ({size}, licence {licence}).", size=size_in_words(size), licence=licence)
