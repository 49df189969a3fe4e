"""A run's model to a repository on the Hugging Face Hub, with a token that is used once and kept nowhere.

`push` starts a child that speaks to the Hub; the token goes through its standard input, so no list of processes, file
or log ever holds it. `HF_ENDPOINT` names another Hub.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.catalogue import hub
from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError, PeopleError, UnsupportedError
from engine.jobs import process
from engine.messages import Text
from engine.settings import ROOT, Settings
from engine.training.export import KINDS, Kind
from engine.training.views import run_folder

ERRORS: dict[str, type[PeopleError]] = {
    kind.__name__: kind for kind in (ConflictError, InputError, NotFoundError, NotReadyError, UnsupportedError)
}
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
REPOSITORY = re.compile(rf"(?:{_NAME}/)?{_NAME}")
TOKEN = re.compile(r"[\x21-\x7e]{8,400}")
MAX_SECONDS = 3600.0
SILENT_UPLOAD_SECONDS = 60.0
"""How long the Hub may take to answer once it has been reached: it digests large files."""
TOKENS_PAGE = "https://huggingface.co/settings/tokens"


def push(
    settings: Settings, run_id: str, repository: str, token: str, is_private: bool = True, kind: Kind = "safetensors"
) -> str:
    """Make the repository `owner/name` (or `name` of the token's owner), upload the run's model, return its address.

    Waits for the upload. Raises InputError (name, token, kind), ConflictError (public site, the name is taken),
    NotFoundError (run, model), NotReadyError (Hub out of reach, too slow), UnsupportedError.
    """
    if settings.is_public:
        raise ConflictError("Publishing is off on this public site. Run Parlance on a machine of your own.", "run")
    folder = run_folder(settings, run_id)
    order = {
        "folder": str(folder), "repository": _checked_name(repository), "token": _checked_token(token), "kind": kind,
        "is_private": bool(is_private), "timeout": settings.network_timeout_seconds,
    }  # fmt: skip
    if kind not in KINDS:
        raise InputError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}.", param="kind")
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "engine.training.publish"],
            input=json.dumps(order), cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=MAX_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NotReadyError(
            "The upload took more than an hour. Try again on a faster line, or publish the adapter."
        ) from None
    return _address(ran)


def _checked_name(repository: object) -> str:
    name = str(repository).strip().removeprefix("https://huggingface.co/").strip("/")
    if not REPOSITORY.fullmatch(name) or "--" in name or ".." in name:
        raise InputError(
            "repository must be a name such as owner/my-model: letters, digits, dots, hyphens and underscores.",
            param="repository",
        )
    return name


def _checked_token(token: object) -> str:
    text = str(token).strip()
    if not TOKEN.fullmatch(text):
        raise InputError(f"token must be an access token of the Hub; make one at {TOKENS_PAGE}.", param="token")
    return text


def _environment() -> dict[str, str]:
    """The child's: no token but the given one, and the plain upload, which any Hub and every proxy takes."""
    kept = {name: value for name, value in os.environ.items() if name not in process.TOKEN_VARIABLES}
    return kept | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def _address(ran: subprocess.CompletedProcess[str]) -> str:
    try:
        answer = json.loads(ran.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise NotReadyError("The upload ended without a word, perhaps for want of memory. Try again.") from None
    if "error" in answer:
        raise ERRORS.get(answer["error"], NotReadyError)(answer["message"], param=answer["param"])
    return str(answer["address"])


def upload(order: dict[str, Any]) -> str:
    """The child's work: check the token, make the repository, upload files and card in one commit.

    A repository that was made for an upload that then failed is removed again. Raises PeopleError or the Hub's errors.
    """
    from huggingface_hub import HfApi

    from engine.training.export import gather

    _set_timeouts(order["timeout"])
    api = HfApi(token=order["token"])
    owner = api.whoami()["name"]
    repository = order["repository"] if "/" in order["repository"] else f"{owner}/{order['repository']}"
    with tempfile.TemporaryDirectory() as temporary:
        files = Path(temporary) / "files"
        facts = gather(Path(order["folder"]), order["kind"], files)
        address = str(api.create_repo(repository, private=order["is_private"]))
        try:
            api.upload_folder(repo_id=repository, folder_path=files, commit_message=f"{facts.title}, by Parlance")
        except BaseException:
            _remove(api, repository)
            raise
    return address


def _remove(api: Any, repository: str) -> None:
    with suppress(Exception):
        api.delete_repo(repository)


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


def explain(error: BaseException, repository: str) -> PeopleError:
    """The Hub client's error as a sentence. An error that is not of the network or the Hub is raised again."""
    from huggingface_hub import errors

    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return NotReadyError("HF_HUB_OFFLINE is set, so nothing is sent to the Hub. Unset it and start again.")
    if status == 401:
        return InputError(
            f"The Hub does not know this token. Make one that may write at {TOKENS_PAGE} and paste it whole.", "token"
        )
    if status == 403:
        return InputError(
            f"This token may not write to {repository}. Give it the right to write at {TOKENS_PAGE}, or choose a "
            "repository under your own name.",
            param="token",
        )
    if status == 409:
        return ConflictError(f"The Hub has a repository {repository} already. Choose another name.", "repository")
    if status == 404:
        return NotFoundError(f"The Hub knows no owner for {repository}. Check the spelling.", param="repository")
    return hub.explain_network(error, Text("then try again. Export the model as a zip meanwhile."))


def main() -> int:
    """Read the order from standard input and print the answer as JSON. Returns the exit status."""
    order: dict[str, Any] = json.loads(sys.stdin.read())
    try:
        answer: dict[str, Any] = {"address": upload(order)}
    except PeopleError as error:
        answer = _told(error)
    except BaseException as error:
        try:
            answer = _told(explain(error, order["repository"]))
        except BaseException as other:
            from engine.training import failures  # loads torch

            answer = _told(NotReadyError(" ".join(filter(None, failures.explain(other)))))
    print("\n" + json.dumps(answer).replace(order["token"], "…"), flush=True)
    return 1 if "error" in answer else 0


def _told(error: PeopleError) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": str(error), "param": error.param}


if __name__ == "__main__":
    sys.exit(main())
