"""Decoders score and embed texts: small random checkpoints, some beside real tokenizers, against plain passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from engine.backends import loader as backends
from engine.backends.pytorch import forwards
from engine.errors import InputError, NotReadyError, TooLargeError, UnsupportedError
from engine.inspections import Score
from engine.requests import Classify, Embed, Generate, Sampling
from engine.settings import Settings
from tests.backends import checkpoints
from tests.backends.checkpoints import KeptJob, entry, open_backend, run

TEXTS = ["Once upon a time there was a small village", "Le renard 🏅 brun", "敏捷的棕色狐狸", "sea", "bad " * 20]


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: Any) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("decoders")
    return {name: open_backend("causal", getattr(checkpoints, name)(folder / name)) for name in ("gpt2", "llama")}


def plain(backend: Any, text: str) -> tuple[list[int], torch.Tensor]:
    """The ids, and log-probabilities of all tokens at each place, of one unpadded pass."""
    ids = backend.tokenizer(text)["input_ids"]
    with torch.inference_mode():
        return ids, backend.module(torch.tensor([ids])).logits[0].float().log_softmax(-1)


@pytest.mark.parametrize("logits", [forwards.LOGITS, 2000])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_token_has_its_log_probability_after_those_before_it(
    decoders: dict[str, Any], name: str, logits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwards, "LOGITS", logits)
    backend = decoders[name]
    for text, scoring in zip(TEXTS, run(backend, *map(Score, TEXTS)), strict=True):
        ids, expected = plain(backend, text)
        assert [token.id for token in scoring.tokens] == ids
        assert "".join(token.text for token in scoring.tokens) == text
        assert scoring.tokens[0].logprob is None
        found = [token.logprob for token in scoring.tokens[1:]]
        wanted = [float(expected[place, id]) for place, id in enumerate(ids[1:])]
        assert found == pytest.approx(wanted, abs=1e-4)


def test_what_it_wrote_scores_as_it_was_written(decoders: dict[str, Any]) -> None:
    prompt = "Once upon a time"
    (written,) = run(decoders["llama"], Generate(prompt, sampling=Sampling(8, 0.0), top_logprobs=1))
    ids = decoders["llama"].tokenizer(prompt)["input_ids"] + [token.id for token in written.tokens]
    (scoring,) = run(decoders["llama"], Score(decoders["llama"].tokenizer.decode(ids)))
    if [token.id for token in scoring.tokens] == ids:  # else its text is cut in another way than it was written
        found = [token.logprob for token in scoring.tokens[-8:]]
        assert found == pytest.approx([token.logprob for token in written.tokens], abs=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_an_embedding_is_the_mean_of_the_last_states(decoders: dict[str, Any], name: str) -> None:
    backend = decoders[name]
    for text, result in zip(TEXTS, run(backend, *map(Embed, TEXTS)), strict=True):
        ids = torch.tensor([backend.tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            mean = backend.module.base_model(ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(result.vector, mean / mean.norm(), atol=1e-5)


def test_faults_are_said_and_are_one_jobs_own(decoders: dict[str, Any]) -> None:
    backend = decoders["gpt2"]
    with pytest.raises(TooLargeError, match="96"):
        run(backend, Score("bad " * 200))
    with pytest.raises(InputError, match="empty"):
        run(backend, Score(""))
    with pytest.raises(InputError, match="empty"):
        run(backend, Embed(""))
    jobs = [KeptJob(Score("sea"), is_cancelled=True), KeptJob(Score("sea")), KeptJob(Classify("sea"))]
    backend.run(jobs)
    assert isinstance(jobs[0].error, NotReadyError) and isinstance(jobs[2].error, UnsupportedError)
    assert "classify texts" in str(jobs[2].error)
    (token,) = jobs[1].result.tokens if len(jobs[1].result.tokens) == 1 else [jobs[1].result.tokens[0]]
    assert token.logprob is None


@pytest.mark.parametrize("name", ["gpt2"])
def test_beside_real_tokenizers(shared_data: Path, tmp_path: Path, name: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(shared_data / "checkpoints" / name)
    backend = open_backend("causal", checkpoints.llama(tmp_path, tokenizer))
    (scoring,) = run(backend, Score(TEXTS[1]))
    assert "".join(token.text for token in scoring.tokens) == TEXTS[1] and len(scoring.tokens) > 3
    assert all(token.logprob < 0 for token in scoring.tokens[1:])


def test_who_scores(tmp_path: Path) -> None:
    settings = Settings(device="cpu")
    causal, seq2seq = entry("causal"), entry("seq2seq")
    (runtime,) = backends.runtimes_for(causal, tmp_path, settings)
    assert {"generate", "score", "embed"} <= runtime.tasks(causal, tmp_path, settings)
    assert "score" not in runtime.tasks(seq2seq, tmp_path, settings)
