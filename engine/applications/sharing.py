"""A result as others are shown it by a link: what was asked and came, with which model and settings; and demos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from engine import applications
from engine.applications import Application
from engine.applications.records import as_record
from engine.errors import ConflictError
from engine.messages import NOTHING, Text, label
from engine.serving.compose import House
from engine.storage.links import Link

HIDDEN = frozenset(
    {"model", "continuation", "is_finished", "rivals", "top_k", "stop", "text", "answer", "results", "turns"}
)
"""Fields that are said elsewhere or say nothing to a reader."""
ROLES = {"user": Text("You"), "assistant": Text("Answer")}
GONE = Text("The model that made this, {model}, is not on this server any more. What it made is shown as it was.")
CHANGED = Text("The model {model} has changed since. What it made then is shown as it was.")


@dataclass(frozen=True)
class Shown:
    """What a page about a link says; `asked` and `came` are named texts, `settings` named values."""

    application: Text
    title: str
    description: str
    model: str
    asked: list[tuple[Text, str]]
    came: list[tuple[Text, str]]
    settings: list[tuple[Text, str]]
    note: Text = NOTHING


def share(house: House, application: Application[Any, Any], request: Any, result: Any, text: str, visitor: str) -> Link:
    """Keep a result under a link of its own. Raises as `Links.make`."""
    model_id = str(getattr(result, "model", "") or request.model or application.default_model)
    content = as_record(application, request, result) | {"text": text} | _model_facts(house, model_id)
    words = " · ".join(said for _, said in asked(content["request"]))
    return house.links.make(visitor, "share", " ".join(words.split()), application.id, content)


def demo(house: House, model_id: str, visitor: str) -> Link:
    """A link to the page that serves a model. Raises ConflictError for a model that no page offers."""
    model = house.catalogue.find(model_id)
    pages = [application for application in applications.APPLICATIONS.values() if application.offers(model)]
    if not pages:
        raise ConflictError("No page offers {model}, so there is nothing to share.", param="model", model=model.title)
    return house.links.make(visitor, "demo", model.title, pages[0].id, _model_facts(house, model_id))


def target(link: Link) -> str:
    """The page of a link's application, with its model chosen."""
    application = applications.APPLICATIONS[link.page]
    return f"/{application.id}?{urlencode({application.picker: link.content['model_title']})}"


def note(house: House, link: Link) -> Text:
    """What has become of the model since; NOTHING where it still is what it was."""
    if not link.content["model"]:
        return NOTHING
    title, was, now = link.content["model_title"], link.content["weights"], _weights(house, link)
    if now is None:
        return Text(GONE.template, model=title)
    return Text(CHANGED.template, model=title) if was and was != now else NOTHING


def is_gone(house: House, link: Link) -> bool:
    """Whether the one model behind a link is not on this server any more."""
    return bool(link.content["model"]) and _weights(house, link) is None


def _weights(house: House, link: Link) -> str | None:
    model_id = link.content["model"]
    return house.engine.weights(model_id) if model_id in house.catalogue.models else None


def shown(house: House, link: Link) -> Shown:
    """What the page of a shared result says."""
    content = link.content
    application = (
        applications.APPLICATIONS[link.page].title if link.page in applications.APPLICATIONS else Text(link.page)
    )
    made = came(content)
    described = " ".join(" ".join(words for _, words in made).split())
    return Shown(
        application, link.title, described[:200], content["model_title"], asked(content["request"]), made,
        settings_of(content), note(house, link),
    )  # fmt: skip


def _model_facts(house: House, model_id: str) -> dict[str, str]:
    """Empty for what is no single model, such as a way over English."""
    model = house.catalogue.models.get(model_id)
    if model is None:
        return {"model": "", "model_title": model_id, "weights": ""}
    return {"model": model_id, "model_title": model.title, "weights": house.engine.weights(model_id) or ""}


def asked(request: Mapping[str, Any]) -> list[tuple[Text, str]]:
    """The texts of a request: `text` and what stands beside it as a text of its own; of a chat all that was said."""
    if request.get("kind") == "chat":
        said = [(ROLES[turn["role"]], turn["content"]) for turn in request.get("turns") or ()]
        return [*said, (ROLES["user"], request["text"])]
    names = [name for name in ("question", "context", "text") if request.get(name)]
    return [(label(name), _as_text(request[name])) for name in names]


def came(content: Mapping[str, Any]) -> list[tuple[Text, str]]:
    """What the model made: its text, or what its result says."""
    result, text = content["result"] or {}, str(content["request"].get("continuation") or "") + content["text"]
    if text.strip():
        return [(Text("Answer"), text)]
    if "answer" in result:
        return [(Text("Answer"), result["answer"] or "–"), (Text("Confidence"), f"{result['score']:.0%}")]
    rows = result.get("results") or result.get("translations") or []
    if len(rows) == 1:
        return [(Text("Answer"), _row(rows[0]))]
    return [(Text("{number}", number=number + 1), _row(row)) for number, row in enumerate(rows)]


def _row(row: Mapping[str, Any]) -> str:
    if "scores" in row:
        return ", ".join(
            f"{name} {share:.0%}" for name, share in sorted(row["scores"].items(), key=lambda one: -one[1])
        )
    return str(row.get("text") or row.get("translation") or row)


def settings_of(content: Mapping[str, Any]) -> list[tuple[Text, str]]:
    """What was set, the seed included: the result's own, and what the request chose besides."""
    acted = (content["result"] or {}).get("settings") or {}
    chosen = {name: value for name, value in content["request"].items() if name not in HIDDEN | {"question", "context"}}
    found = {**chosen, **acted}
    return [(label(name), _as_text(value)) for name, value in found.items() if value not in (None, "", [], {})]


def _as_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
