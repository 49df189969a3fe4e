"""A repository on the Hugging Face Hub, at a revision. The Hub's client runs in a child process (`catalogue.hub`)."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine import errors
from engine.catalogue.cache import PLAN
from engine.catalogue.checkpoints import read_facts
from engine.catalogue.sources import Fetched, Fetching, Kept
from engine.catalogue.transfer import Transfer, run_child, sha256
from engine.errors import NotReadyError
from engine.files import folder_bytes, read_json, write_json
from engine.jobs import process
from engine.messages import Text, read
from engine.settings import ROOT

log = logging.getLogger(__name__)

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
HUB_ID = re.compile(rf"hub:(?P<repository>{_NAME}/{_NAME})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}))?")
"""A Hub model typed in by hand: `hub:owner/name`, with `@branch`, `@tag` or `@commit` where wanted."""


@dataclass(frozen=True)
class Hub(Kept):
    """safetensors, configuration and tokenizer of a repository."""

    repository: str
    revision: str = "main"
    """A full commit hash, or a branch, which is resolved to a commit at the first download and kept."""
    kind: Literal["hub"] = "hub"

    def fault(self) -> str:
        return "" if HUB_ID.fullmatch(f"hub:{self.repository}") else "repository"

    def is_of(self, manifest: Mapping[str, Any]) -> bool:
        return bool(manifest.get("revision") == self.revision)

    def fetch(self, work: Fetching) -> Fetched:
        """A plan of what to fetch is kept beside the files until these are installed, so that a new try goes on.

        Raises the Hub's refusals and NotReadyError, OSError for a full disk, Stopped.
        """
        transfer, files = work.transfer, work.folder / "files"
        plan = read_json(work.folder / PLAN)
        if plan.get("revision") != self.revision:
            shutil.rmtree(files, ignore_errors=True)
            plan = self._plan(work)
        facts = read_facts(self.repository, plan)
        transfer.total_bytes = facts["size_bytes"]
        files.mkdir(exist_ok=True)
        work.check_room(facts["size_bytes"] - folder_bytes(files))
        write_json(work.folder / PLAN, plan)
        _ask(work, "get", self.repository, str(work.folder / PLAN), str(files), folder=files, transfer=transfer)
        transfer.step = Text("checking")
        (files / "output.txt").unlink(missing_ok=True)
        digests = {file["name"]: _checked(files / file["name"], file, transfer) for file in plan["files"]}
        notes = {name: plan[name] for name in ("repository", "revision", "commit")}
        return Fetched(digests, notes | {"facts": facts})

    def _plan(self, work: Fetching) -> dict[str, Any]:
        """Ask the Hub what to fetch: at the commit that the cache knows, else at what the revision means now."""
        commit = work.known["commit"] if work.known.get("revision") == self.revision else self.revision
        work.transfer.step = Text("asking the Hub")
        silent = Transfer(0, work.transfer.beat)
        plan = _ask(work, "plan", self.repository, commit, folder=work.folder, transfer=silent)
        work.transfer.step = Text("")
        return plan | {"revision": self.revision}


def _ask(work: Fetching, command: str, *arguments: str, folder: Path, transfer: Transfer) -> dict[str, Any]:
    """Run the Hub's client in a child process; returns what it prints. Raises its PeopleError, Stopped.

    Ended when nothing has come for the time that a download may be silent.
    """
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": paths, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
    # Warnings would count as a sign of life while the client quietly tries again and again.
    environment["HF_HUB_VERBOSITY"] = "error"
    child = process.python("engine.catalogue.hub", command, str(work.timeout_seconds), *arguments)
    code, output = run_child(
        child, environment, folder, transfer, transfer.total_bytes, work.timeout_seconds, work.is_owners
    )
    try:
        answer = dict(json.loads(output.strip().rpartition("\n")[2]))
    except ValueError:
        log.warning("the Hub client ended with %s: %s", code, output)
        raise NotReadyError("The download from the Hub was interrupted. Try again; what arrived is kept.") from None
    if "error" in answer:
        raise getattr(errors, answer["error"])(read(answer["text"]), param=answer["param"])
    return answer


def _checked(path: Path, file: Mapping[str, Any], transfer: Transfer) -> str:
    """The file's sha256, once it agrees with the Hub's (for small files: git's hash). Deletes a file that differs."""
    digest = sha256(path, transfer)
    is_same = digest == file["sha256"]
    if not file["sha256"]:
        content = path.read_bytes()
        is_same = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file["blob"]
    if not is_same:
        path.unlink()
        raise NotReadyError("{file} arrived damaged (its hash differs) and was deleted. Try again.", file=file["name"])
    return digest
