"""A run's model to a repository on the Hugging Face Hub, with a token that is used once and kept nowhere.

`push` starts a job that speaks to the Hub; the token goes through its process's standard input, so no list of
processes, file or log ever holds it. `HF_ENDPOINT` names another Hub.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.catalogue import hub
from engine.errors import ConflictError, InputError, NotFoundError, PeopleError, not_among
from engine.files import PART
from engine.jobs import work as jobs
from engine.jobs.folder import Job
from engine.messages import Text
from engine.serving import access
from engine.serving.protocol import Caller
from engine.settings import Settings
from engine.training.export import EXPORT_KINDS, Kind, describe, gather
from engine.training.views import read

__all__ = ["describe", "push", "work"]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
REPOSITORY = re.compile(rf"(?:{_NAME}/)?{_NAME}")
TOKEN = re.compile(r"[\x21-\x7e]{8,400}")
SILENT_UPLOAD_SECONDS = 60.0
"""How long the Hub may take to answer once it has been reached: it digests large files."""
QUIET = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""The plain upload, which any Hub and every proxy takes."""
TOKENS_PAGE = "https://huggingface.co/settings/tokens"


def push(
    settings: Settings,
    run_id: str,
    repository: str,
    token: str,
    is_private: bool = True,
    kind: Kind = "safetensors",
    caller: Caller = jobs.HOST,
) -> str:
    """Make the repository `owner/name` (or `name` of the token's owner), upload the run's model, by a job.

    Returns the job's id at once. Raises InputError (name, token, kind), ConflictError (for who may not), NotFoundError.
    """
    access.check(caller, "publish")
    view = read(settings, run_id)
    order = {
        "run": run_id, "repository": _checked_name(repository), "kind": kind, "is_private": bool(is_private),
        "timeout": settings.network_timeout_seconds,
    }  # fmt: skip
    secret = _checked_token(token)
    if kind not in EXPORT_KINDS:
        raise not_among("kind", kind, EXPORT_KINDS)
    return jobs.begin(settings, "publish", order, title=view.title, subject=run_id, secret=secret, caller=caller)


def _checked_name(repository: str) -> str:
    name = repository.strip().removeprefix("https://huggingface.co/").strip("/")
    if not REPOSITORY.fullmatch(name) or "--" in name or ".." in name:
        raise InputError(
            "repository must be a name such as owner/my-model: letters, digits, dots, hyphens and underscores.",
            param="repository",
        )
    return name


def _checked_token(token: str) -> str:
    text = token.strip()
    if not TOKEN.fullmatch(text):
        raise InputError(
            "token must be an access token of the Hub; make one at {address}.", address=TOKENS_PAGE, param="token"
        )
    return text


def work(job: Job) -> dict[str, str]:
    """The work of the job: its result is the repository's address."""
    os.environ |= QUIET
    order = job.config
    try:
        return {"address": upload(job.folder.parents[1] / order["run"], order, job.secret, job.folder)}
    except PeopleError:
        raise
    except Exception as error:
        raise told(error, order["repository"]) from error


def upload(folder: Path, order: dict[str, Any], token: str, scratch: Path) -> str:
    """Check the token, make the repository, upload files and card in one commit; returns the address.

    The files lie in a folder of `scratch` meanwhile, which is cleared up there should the process be killed.
    A repository that was made for an upload that then failed is removed again. Raises PeopleError or the Hub's errors.
    """
    from huggingface_hub import HfApi

    _set_timeouts(order["timeout"])
    api = HfApi(token=token)
    owner = api.whoami()["name"]
    repository = order["repository"] if "/" in order["repository"] else f"{owner}/{order['repository']}"
    with tempfile.TemporaryDirectory(PART, dir=scratch) as temporary:
        files = Path(temporary) / "files"
        facts = gather(folder, order["kind"], files)
        address = str(api.create_repo(repository, private=order["is_private"]))
        try:
            api.upload_folder(repo_id=repository, folder_path=files, commit_message=f"{facts.title}, by Parlance")
        except BaseException:
            with suppress(Exception):
                api.delete_repo(repository)
            raise
    return address


def _set_timeouts(connect_seconds: float) -> None:
    """The client waits for ever by default."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
    from huggingface_hub.utils._http import default_client_factory

    def client() -> Any:
        made = default_client_factory()
        made.timeout = httpx.Timeout(SILENT_UPLOAD_SECONDS, connect=connect_seconds)
        return made

    set_client_factory(client)


REFUSALS: dict[int, tuple[type[PeopleError], str, Text]] = {
    401: (InputError, "token", Text(
        "The Hub does not know this token. Make one that may write at {address} and paste it whole."
    )),
    403: (InputError, "token", Text(
        "This token may not write to {repository}. Give it the right to write at {address}, or choose a repository "
        "under your own name."
    )),
    404: (NotFoundError, "repository", Text("The Hub knows no owner for {repository}. Check the spelling.")),
    409: (ConflictError, "repository", Text("The Hub has a repository {repository} already. Choose another name.")),
}  # fmt: skip
"""What an answer of the Hub means here: the error, the field at fault, and its sentence."""


def told(error: BaseException, repository: str) -> PeopleError:
    """The Hub client's error as a sentence. An error that is not of the network or the Hub is raised again."""
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    status = hub.status_of(error)
    if status in REFUSALS:
        kind, field, words = REFUSALS[status]
        return kind(words.template, field, repository=repository, address=TOKENS_PAGE)
    return hub.network_error(error)
