"""The Hub's side of a download, which `sources.hub` runs as a child process: what a repository holds, and its files.

safetensors only: no pickle, no code.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ConflictError, NotFoundError, NotReadyError, PeopleError, UnsupportedError
from engine.messages import Text

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

SMALL_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.(json|txt|spm|model|jinja)|1_Pooling/config\.json")
WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
SMALL_FILE_BYTES = 64 * 2**20
CONVERTER, CONVERTED_TITLE = "SFconvertbot", "Adding `safetensors` variant of this model"
"""The Hub's own converter offers safetensors of old repositories as a pull request (transformers uses it too)."""


def make_plan(repository: str, revision: str, timeout_seconds: float) -> dict[str, Any]:
    """The commit that a revision means, the files to fetch from it with sizes and hashes, the model's config and card.

    Raises PeopleError, or the Hub client's own errors.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="parlance")
    info = api.model_info(repository, revision=revision, files_metadata=True, timeout=timeout_seconds)
    main_files = _choose(info)
    if not any(WEIGHTS.fullmatch(file["name"]) for file in main_files):
        info = _converted(api, info, timeout_seconds)
    files = _choose(info)
    config = _read_json(repository, info.sha or "", "config.json", timeout_seconds)
    if "auto_map" in config and _needs_code(config):
        raise UnsupportedError(
            "{repository} needs program code of its own, which Parlance does not run.", repository=repository
        )
    names = {file["name"] for file in files}
    tokenizer = {}
    if "tokenizer_config.json" in names:
        tokenizer = _read_json(repository, info.sha or "", "tokenizer_config.json", timeout_seconds)
    card = info.card_data.to_dict() if info.card_data else {}
    languages = card.get("language") or []
    weights = sum(file["size"] for file in files if WEIGHTS.fullmatch(file["name"]))
    return {
        "repository": repository,
        "commit": info.sha,
        "files": files,
        "config": config,
        "licence": str(card.get("license") or "not stated"),
        "languages": [code for code in ([languages] if isinstance(languages, str) else languages) if len(code) == 2],
        "parameters": info.safetensors.total if info.safetensors else weights // 4,
        "is_chat": bool(tokenizer.get("chat_template")) or "chat_template.jinja" in names,
    }


def _needs_code(config: Mapping[str, Any]) -> bool:
    """Whether transformers has no folder for this kind of model. (Importing it to ask would take seconds.)"""
    spec = find_spec("transformers")
    if spec is None or spec.origin is None:
        return False
    folder = str(config.get("model_type") or "unknown").replace("-", "_")
    return not (Path(spec.origin).parent / "models" / folder / "__init__.py").is_file()


def _choose(info: ModelInfo) -> list[dict[str, Any]]:
    """The files that are data and needed: weights in safetensors, config, tokenizer."""
    names = {file.rfilename for file in info.siblings or []}
    is_single = "model.safetensors" in names
    chosen = []
    for file in info.siblings or []:
        name, size = file.rfilename, file.size or 0
        is_small = SMALL_FILE.fullmatch(name) and "index" not in name and size <= SMALL_FILE_BYTES
        is_shard = not is_single and (WEIGHTS.fullmatch(name) or name == "model.safetensors.index.json")
        if is_small or is_shard or name == "model.safetensors":
            digest = file.lfs.sha256 if file.lfs else None
            chosen.append({"name": name, "size": size, "sha256": digest, "blob": file.blob_id})
    return chosen


def _converted(api: Any, info: ModelInfo, timeout_seconds: float) -> ModelInfo:
    """The same repository with safetensors added by the Hub's converter. Raises UnsupportedError without."""
    names = [file.rfilename for file in info.siblings or []]
    if "config.json" not in names:
        raise UnsupportedError(
            "{repository} holds no model in the transformers layout (no config.json). Choose the original repository.",
            repository=info.id,
        )
    if any(name.endswith(".bin") for name in names):
        for discussion in api.get_repo_discussions(info.id, author=CONVERTER, discussion_type="pull_request"):
            if discussion.author == CONVERTER and discussion.title == CONVERTED_TITLE:
                converted: ModelInfo = api.model_info(
                    info.id, revision=discussion.git_reference, files_metadata=True, timeout=timeout_seconds
                )
                if any(WEIGHTS.fullmatch(file.rfilename) for file in converted.siblings or []):
                    return converted
    raise UnsupportedError(
        "{repository} offers its weights only in a format that can carry code (.bin), which Parlance does not load. "
        "Choose a repository with safetensors.",
        repository=info.id,
    )


def _read_json(repository: str, commit: str, name: str, timeout_seconds: float) -> dict[str, Any]:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

    url = hf_hub_url(repository, name, revision=commit)
    response = get_session().get(url, headers=build_hf_headers(), timeout=timeout_seconds)
    hf_raise_for_status(response)
    try:
        return dict(response.json())
    except ValueError:
        raise UnsupportedError(
            "{file} of {repository} is not valid JSON. Choose another model.", file=name, repository=repository
        ) from None


def get_files(plan: Mapping[str, Any], folder: Path, timeout_seconds: float) -> None:
    """Fetch the plan's files into `folder`; a file that broke off goes on where it stopped, also in a new process.

    The client's own `snapshot_download` would begin such a file anew, and asks the Hub again for each.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    constants.HF_HUB_DOWNLOAD_TIMEOUT = timeout_seconds  # type: ignore[assignment]
    # Its 10 MB would make a slow line look silent, and a break lose that much.
    constants.DOWNLOAD_CHUNK_SIZE = 1 << 16
    for file in plan["files"]:
        path, part = folder / file["name"], folder / (file["name"] + ".part")
        if path.is_file() and path.stat().st_size == file["size"]:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if part.is_file() and part.stat().st_size > file["size"]:
            part.unlink()
        url = hf_hub_url(plan["repository"], file["name"], revision=plan["commit"])
        with part.open("ab", buffering=0) as out:
            http_get(url, out, resume_size=out.tell(), headers=build_hf_headers(), expected_size=file["size"])
        part.replace(path)


def hub_error(error: BaseException, repository: str, param: str = "model") -> PeopleError:
    """The error of who asked for a model or a data set, as a sentence. One that is not the Hub's is raised again."""
    from huggingface_hub import errors

    if isinstance(error, PeopleError):
        return error
    status = status_of(error)
    facts: dict[str, Any] = {"param": param, "repository": repository}
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError("{repository} has no such revision. Leave it out to take the main one.", **facts)
    if isinstance(error, errors.GatedRepoError) or status == 403:
        page = f"https://huggingface.co/{'datasets/' if param == 'dataset' else ''}{repository}"
        return ConflictError(
            "{repository} is gated. Accept its terms at {page}, set HF_TOKEN to your access token, and start again.",
            page=page, **facts,
        )  # fmt: skip
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 404):
        kind = Text("data set") if param == "dataset" else Text("model")
        return NotFoundError(
            "The Hub has no public {kind} {repository}. Check the spelling; a private one needs HF_TOKEN.",
            kind=kind, **facts,
        )  # fmt: skip
    return network_error(error)


def network_error(error: BaseException) -> PeopleError:
    """A Hub that fails, is slow or out of reach as a sentence; another error is raised again."""
    from huggingface_hub import errors
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    if isinstance(error, errors.OfflineModeIsEnabled):
        return NotReadyError("HF_HUB_OFFLINE is set, so the Hub is not asked. Unset it and start again.")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return NotReadyError("The Hub has not answered in time. Check the network, then try again.")
    if status := status_of(error):
        return NotReadyError("The Hub answered with error {status}. Try again in a few minutes.", status=status)
    if isinstance(error, httpx.HTTPError):
        return NotReadyError(
            "The Hub cannot be reached. Check the network, or set HF_ENDPOINT to a mirror, then try again."
        )
    raise error


def status_of(error: BaseException) -> int | None:
    """What the Hub answered with, where that is the error."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _end_with_parent() -> None:
    """Do not go on writing beside a successor when the process that asked is gone."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> int:
    """Print a plan as JSON (`plan`), or fetch the files of a written one (`get`). Errors are printed as JSON too."""
    command, timeout, *given = sys.argv[1:]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer: dict[str, Any] = {}
    repository = given[0]
    try:
        import huggingface_hub  # noqa: F401

        print("started", flush=True)
        if command == "plan":
            answer = make_plan(repository, given[1], float(timeout))
        else:
            plan = json.loads(Path(given[1]).read_text(encoding="utf-8"))
            get_files(plan, Path(given[2]), float(timeout))
    except Exception as error:
        told = hub_error(error, repository)
        answer = {"error": type(told).__name__, "text": told.text.as_json(), "param": told.param}
    print("\n" + json.dumps(answer), flush=True)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
