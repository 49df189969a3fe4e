"""The list of applications: complete, plain, quick to import."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, is_dataclass

import pytest

from engine.applications import APPLICATIONS, Application
from engine.catalogue.models import read_catalogue


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=list(APPLICATIONS))
def test_each_application_is_whole(application: Application) -> None:
    catalogue = read_catalogue()
    assert application.id in catalogue.find(application.default_model).applications
    assert is_dataclass(application.request_type) and is_dataclass(application.result_type)
    assert application.summary.endswith(".") and application.icon.replace("_", "").isalpha()
    assert len(application.samples) >= 3
    for sample in application.samples:
        assert isinstance(sample, application.request_type)
        assert application.request_type(**json.loads(json.dumps(asdict(sample)))) == sample


def test_importing_them_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "streamlit", "sacrebleu", "py3langid", "xllamacpp")
    code = f"import sys, engine.applications; print([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("id", ["translate", "sentiment", "answer", "write"])
def test_the_samples_run(house, id: str) -> None:
    application = APPLICATIONS[id]
    for sample in application.samples:
        result = application.run(house.engine, sample)
        assert json.loads(json.dumps(asdict(result), ensure_ascii=False))["model"] == result.model
