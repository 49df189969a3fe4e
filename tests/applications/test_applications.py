"""The list of applications: complete, plain, quick to import."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import pytest
from fakes import HOST

from engine.applications import APPLICATIONS, Application
from engine.catalogue.models import Model, hub_model, read_catalogue
from engine.messages import said


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=list(APPLICATIONS))
def test_each_application_is_whole(application: Application) -> None:
    catalogue = read_catalogue()
    assert application.id in catalogue.find(application.default_model).applications
    assert is_dataclass(application.request_type) and is_dataclass(application.result_type)
    assert str(application.summary).endswith(".") and application.icon.replace("_", "").isalpha()
    assert len(application.samples) >= 3
    for sample in application.samples:
        assert isinstance(sample, application.request_type)
        assert application.request_type(**json.loads(json.dumps(asdict(sample)))) == sample


def test_importing_them_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "streamlit", "sacrebleu", "py3langid", "xllamacpp")
    code = f"import sys, engine.applications; print([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("id", ["translate", "summarize", "sentiment", "answer", "write"])
def test_the_samples_run(house, id: str) -> None:
    application = APPLICATIONS[id]
    for sample in application.samples:
        result = application.run(house.engine, sample, HOST)
        assert json.loads(json.dumps(said(asdict(result)), ensure_ascii=False))["model"] == result.model


NOT_YET = {"explore"}
"""Named in the catalogue, and shown nowhere until there is a file."""


def test_the_catalogue_names_only_applications_that_there_are_or_will_be() -> None:
    catalogue = read_catalogue()
    assert {id for model in catalogue.models.values() for id in model.applications} == set(APPLICATIONS) | NOT_YET


def from_the_hub(**facts: Any) -> Model:
    return replace(hub_model("hub:owner/name"), **facts)


@pytest.mark.parametrize(
    ("facts", "offered"),
    [
        ({"architecture": "causal"}, ["write"]),
        ({"architecture": "classification"}, ["sentiment"]),
        ({"architecture": "extraction"}, ["answer"]),
        ({"architecture": "seq2seq", "prompt_style": "pair", "pair": ("en", "zh")}, ["translate"]),
        ({"architecture": "seq2seq", "prompt_style": "pair"}, []),
        ({"architecture": "seq2seq", "prompt_style": "codes"}, ["translate"]),
        ({"architecture": "seq2seq", "prompt_style": "t5"}, ["summarize"]),
        ({"architecture": "seq2seq"}, ["summarize"]),
        ({"architecture": "embedding"}, ["summarize"]),
        ({"architecture": "causal", "is_chat": True}, ["summarize", "write"]),
        ({"architecture": "causal", "applications": ("translate",)}, ["translate"]),
    ],
)
def test_a_model_from_the_hub_is_offered_where_it_suits(facts: dict[str, Any], offered: list[str]) -> None:
    assert [each.id for each in APPLICATIONS.values() if each.offers(from_the_hub(**facts))] == offered


def test_warming_up_reads_the_tables_of_languages() -> None:
    from engine.applications import languages, warm_up

    languages._identifier.cache_clear()
    warm_up()
    assert languages._identifier.cache_info().currsize == 1
