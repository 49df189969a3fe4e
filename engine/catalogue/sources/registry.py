"""One direction of Firefox Translations: files that Mozilla's public registry of models, or a copy of it, lists.

The registry is one JSON document (mozilla/translations, `db/updater.py`): `baseUrl`, and for each pair of languages the
models with their files, packed by gzip.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engine.catalogue.cache import PLAN
from engine.catalogue.sources import Fetched, Fetching, Kept
from engine.files import folder_bytes, read_json, write_json
from engine.messages import Text

if TYPE_CHECKING:
    from engine.catalogue.models import Model


@dataclass(frozen=True)
class Registry(Kept):
    """A model and its vocabulary, by pair of languages and size of network."""

    direction: str
    """Source and target, such as en-fr."""
    network: str
    """tiny, base or base-memory."""
    packed_bytes: int
    """What comes over the network."""
    kind: Literal["registry"] = "registry"

    is_listed: ClassVar[bool] = False

    def is_of(self, manifest: Mapping[str, Any]) -> bool:
        return (manifest.get("direction"), manifest.get("network")) == (self.direction, self.network)

    def download_bytes(self, model: Model) -> int:
        return self.packed_bytes

    def fetch(self, work: Fetching) -> Fetched:
        """The plan is kept beside the files until these are installed; a new try goes on where it is still the same.

        Raises NotReadyError, NotFoundError, OSError for a full disk, Stopped.
        """
        from engine.catalogue import registry  # with the network's client, which only a download needs

        files, transfer = work.folder / "files", work.transfer
        transfer.step = Text("asking for the list of models")
        listed = registry.read(work.registry, work.timeout_seconds, transfer.beat)
        transfer.step = Text("")
        plan = listed.plan(self.direction, self.network)
        if plan != read_json(work.folder / PLAN):
            shutil.rmtree(files, ignore_errors=True)
        files.mkdir(exist_ok=True)
        work.check_room(self.packed_bytes + work.model.size_bytes - folder_bytes(files))
        write_json(work.folder / PLAN, plan)
        digests = registry.get_files(plan["files"], files, work.timeout_seconds, transfer)
        return Fetched(digests, {name: plan[name] for name in ("direction", "network", "registry")})
