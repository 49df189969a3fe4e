"""Looking inside small random checkpoints: each figure against the one that `transformers` gives by itself."""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AddedToken

from engine.backends.pytorch import attributing, relevance
from engine.backends.pytorch.pieces import pieces_of
from engine.backends.texts import places_of
from engine.errors import InputError, NotReadyError, PeopleError, TooLargeError, UnsupportedError
from engine.inspections import HABITS, MOST_TOKENS, Attend, Attribute, Lens, Lot, Next, Score, Tokenize
from engine.requests import Generate, Sampling
from tests.backends import checkpoints
from tests.backends.checkpoints import KeptJob, open_backend, run

TEXT = "Le renard 🏅 brun jumps"


@pytest.fixture(scope="module")
def models(tmp_path_factory: Any) -> dict[str, Any]:
    """A decoder of each make, an encoder, a classifier, and two encoder-decoders."""
    folder: Path = tmp_path_factory.mktemp("looking")
    made = {name: open_backend("causal", getattr(checkpoints, name)(folder / name)) for name in ("gpt2", "llama")}
    made |= {name: open_backend("seq2seq", getattr(checkpoints, name)(folder / name)) for name in ("t5", "marian")}
    made["bert"] = open_backend("embedding", checkpoints.bert(folder / "bert", ""))
    made["classifier"] = open_backend("classification", checkpoints.bert(folder / "judge", "SequenceClassification"))
    made["reader"] = open_backend("extraction", checkpoints.bert(folder / "reader", "QuestionAnswering"))
    chat = checkpoints.llama(folder / "chat", checkpoints.byte_pairs(has_template=True))
    made["chat"] = open_backend("causal", chat)
    return made


def straight(backend: Any, text: str = TEXT, **options: Any) -> Any:
    """The output of the module for a text, as a notebook would ask for it."""
    backend.module.set_attn_implementation("eager")
    with torch.inference_mode():
        return backend.module(**backend.tokenizer(text, return_tensors="pt"), **options)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_perplexity_is_the_one_of_transformers_and_rivals_are_its_likeliest(models: dict[str, Any], name: str) -> None:
    backend = models[name]
    (scoring,) = run(backend, Score(TEXT, rivals=3))
    assert "".join(token.text for token in scoring.tokens) == TEXT and scoring.origin.dtype == "float32"
    ids = backend.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        loss = float(backend.module(ids, labels=ids).loss)
    logprobs = [token.logprob for token in scoring.tokens[1:]]
    assert math.exp(-sum(logprobs) / len(logprobs)) == pytest.approx(math.exp(loss), rel=1e-3)
    expected = straight(backend).logits[0].log_softmax(-1).topk(3)
    for place, token in enumerate(scoring.tokens[1:]):
        assert [value for _, value in token.top_logprobs] == pytest.approx(expected.values[place].tolist(), abs=1e-4)
    (plain,) = run(backend, Score(TEXT))
    assert [token.logprob for token in plain.tokens[1:]] == pytest.approx(logprobs, abs=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_next_token_has_the_logits_of_the_last_place(models: dict[str, Any], name: str) -> None:
    (found,) = run(models[name], Next(TEXT))
    logits = straight(models[name]).logits[0, -1]
    np.testing.assert_allclose(found.logits.values(), logits, atol=1e-4)
    assert found.logits.axes == ("token",) and len(found.best) == 200
    assert [piece.id for piece in found.best[:20]] == logits.topk(20).indices.tolist()
    assert not any("\ufffd" in piece.text or piece.text == "" for piece in found.best)


def lot_of(settings: Sampling, draws: int) -> Lot:
    return Lot(draws, settings.seed or 0, settings.temperature, settings.top_k, settings.top_p, settings.min_p)


@pytest.mark.parametrize(
    "settings", [Sampling(temperature=1.4, top_k=30), Sampling(temperature=0.9, top_p=0.8), Sampling(temperature=0)]
)
def test_drawing_token_by_token_is_writing(models: dict[str, Any], settings: Sampling) -> None:
    settings = replace(settings, seed=7, max_new_tokens=6).resolved()
    (written,) = run(models["gpt2"], Generate(TEXT, sampling=settings))
    ids: tuple[int, ...] = ()
    while len(ids) < 6:
        (found,) = run(models["gpt2"], Next(TEXT, begun=ids, lot=lot_of(settings, 1)))
        if found.drawn[0].is_special:
            break
        ids += (found.drawn[0].id,)
    assert models["gpt2"].tokenizer.decode(ids, clean_up_tokenization_spaces=False) == written.text
    (many,) = run(models["gpt2"], Next(TEXT, lot=lot_of(settings, 50)))
    assert [piece.id for piece in many.drawn][:1] == [*ids][:1] and len(many.drawn) == 50


def test_what_is_drawn_comes_as_often_as_its_share(models: dict[str, Any]) -> None:
    settings = Sampling(temperature=1.0, top_k=3, seed=1).resolved()
    (found,) = run(models["gpt2"], Next(TEXT, lot=lot_of(settings, 2000)))
    best = torch.from_numpy(found.logits.values().copy()).topk(3)
    times = Counter(piece.id for piece in found.drawn)
    shares = best.values.double().softmax(-1).tolist()
    assert set(times) <= set(best.indices.tolist())
    for id, share in zip(best.indices.tolist(), shares, strict=True):
        assert times[id] / 2000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 2000))


def test_marks_of_a_template_cannot_be_said_to_follow(models: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="ids of tokens"):
        run(models["chat"], Next("sea", begun=(models["chat"].tokenizer.all_special_ids[0],)))


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize(
    ("name", "kind"), [("gpt2", "causal"), ("llama", "causal"), ("bert", "both ways"), ("classifier", "both ways")]
)
def test_attention_is_output_attentions(models: dict[str, Any], name: str, kind: str, layer: int) -> None:
    (found,) = run(models[name], Attend(TEXT, layer=layer))
    weights = found.weights.values().astype(float)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=2e-3)
    expected = straight(models[name], output_attentions=True).attentions
    np.testing.assert_allclose(weights, expected[layer][0], atol=5e-4)
    assert (found.kind, found.layers, found.weights.axes) == (kind, len(expected), ("head", "row", "column"))
    assert found.weights.shape[1:] == (len(found.rows), len(found.columns))
    habits = found.habits.values()[layer, 1]
    head = expected[layer][0, 1].double()
    spread = math.exp(float(-(head * head.clamp_min(1e-12).log()).sum(-1).mean()))
    wanted = [float(head[:, 0].mean()), float(head.diag().mean()), float(head.diag(-1).mean()), spread]
    assert len(HABITS) == len(habits) and habits == pytest.approx(wanted, rel=1e-3)
    assert models[name].module.config._attn_implementation == "eager"  # as `straight` left it


@pytest.mark.parametrize("name", ["t5", "marian"])
def test_attention_of_encoder_decoders(models: dict[str, Any], name: str) -> None:
    backend, source = models[name], "the quick brown fox"
    ids = backend.tokenizer(source, return_tensors="pt")["input_ids"]
    target = backend.tokenizer(text_target="le renard", return_tensors="pt")["input_ids"]
    expected = straight(backend, source, labels=target, output_attentions=True)
    for part, wanted, kind in (
        ("", expected.cross_attentions, "cross"),
        ("decoder", expected.decoder_attentions, "causal"),
        ("encoder", expected.encoder_attentions, "both ways"),
    ):
        (found,) = run(backend, Attend("le renard", source, layer=1, part=part))  # type: ignore[arg-type]
        np.testing.assert_allclose(found.weights.values(), wanted[1][0], atol=5e-4)
        assert found.kind == kind
    (last,) = run(backend, Attend("le renard", source, layer=-1))
    assert last.layer == last.layers - 1
    np.testing.assert_allclose(last.weights.values(), expected.cross_attentions[-1][0], atol=5e-4)
    (cross,) = run(backend, Attend("le renard", source))
    assert (len(cross.rows), len(cross.columns)) == (target.shape[1], ids.shape[1])
    (alone,) = run(backend, Attend(source))
    np.testing.assert_allclose(alone.weights.values(), expected.encoder_attentions[0][0], atol=5e-4)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_lens_ends_with_the_models_own_words(
    models: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.backends.pytorch.lens.BLOCK_LOGITS", 1000)  # a few places at a time
    backend, output = models[name], straight(models[name], output_hidden_states=True)
    job = KeptJob(Lens(TEXT, top=4))
    backend.run([job])
    found, own = job.result, output.logits[0].log_softmax(-1).topk(4)
    assert found.ids.values()[-1].tolist() == own.indices.tolist()
    np.testing.assert_allclose(found.logprobs.values()[-1], own.values, atol=1e-4)
    layers = backend.module.config.num_hidden_layers
    places = len(found.tokens)
    assert found.ids.shape == (layers + 1, places, 4) and found.changes.shape == (layers, places)
    assert len(found.words) == layers + 1 and len(found.words[0]) == places
    norm = backend.module.transformer.ln_f if name == "gpt2" else backend.module.model.norm
    with torch.inference_mode():
        first = backend.module.lm_head(norm(output.hidden_states[1][0])).log_softmax(-1).topk(4)
    np.testing.assert_allclose(found.logprobs.values()[1], first.values, atol=1e-4)
    before, after = output.hidden_states[0][0], output.hidden_states[1][0]
    np.testing.assert_allclose(found.changes.values()[0], ((after - before).norm(dim=-1) / before.norm(dim=-1)), 1e-4)
    assert job.texts[0] == f"1/{layers + 1} " and len(job.texts) == layers


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "classifier", "t5", "marian"])
def test_a_text_is_cut_as_the_tokenizer_cuts_it(models: dict[str, Any], name: str) -> None:
    (found,) = run(models[name], Tokenize(TEXT))
    assert [piece.id for piece in found.pieces] == models[name].tokenizer(TEXT)["input_ids"]
    assert found.vocabulary == len(models[name].tokenizer)
    special = set(models[name].tokenizer.all_special_ids)
    assert all(piece.is_special == (piece.id in special) and piece.text for piece in found.pieces)
    if name == "gpt2":
        assert found.pieces[-1].text.strip() and any(piece.text.startswith("<0x") for piece in found.pieces)


def test_a_mark_that_texts_do_not_have_is_shown_by_its_name(models: dict[str, Any]) -> None:
    tokenizer = copy.deepcopy(models["gpt2"].tokenizer)
    tokenizer.add_tokens([AddedToken("<filename>", special=True)])
    (piece,) = pieces_of(tokenizer, [tokenizer.convert_tokens_to_ids("<filename>")], is_running=False)
    assert piece.text == "<filename>"


def test_what_a_tokenizer_does_not_know_is_a_piece_of_the_text() -> None:
    tokenizer = checkpoints.wordpiece()
    pieces = pieces_of(tokenizer, tokenizer("ʬ")["input_ids"])
    assert [(piece.text, piece.is_special) for piece in pieces] == [("[CLS]", True), ("[UNK]", False), ("[SEP]", True)]


def test_what_cannot_be_looked_into_is_said(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    long = "bad " * 200
    for request, error in (
        (Lens(long), TooLargeError), (Attend(long), TooLargeError), (Next(""), InputError), (Lens(""), InputError),
        (Attend("sea", layer=2), InputError), (Attend("sea", layer=-2), InputError),
        (Next("sea", begun=(10**6,)), InputError),
    ):  # fmt: skip
        with pytest.raises(error):
            run(models["gpt2"], request)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="after each layer"):
        run(models["bert"], Lens("sea"))
    monkeypatch.setattr("engine.backends.pytorch.lens.NORMS", ("drop",))
    with pytest.raises(UnsupportedError, match="cannot be read"):
        run(models["gpt2"], Lens("sea"))
    assert len(run(models["gpt2"], Tokenize(long))[0].pieces) > MOST_TOKENS


@pytest.mark.parametrize("request_", [Lens(TEXT), Attend(TEXT), Next(TEXT), Score(TEXT, rivals=1)])
def test_nobody_waits_for_the_layers_that_are_left(models: dict[str, Any], request_: Any) -> None:
    class Leaving(KeptJob):
        looks = 0

        @property
        def is_cancelled(self) -> bool:  # type: ignore[override]
            self.looks += 1
            return self.looks > 2

        @is_cancelled.setter
        def is_cancelled(self, value: bool) -> None: ...

    job = Leaving(request_)
    models["gpt2"].run([job, other := KeptJob(Tokenize("sea"))])
    assert isinstance(job.error, NotReadyError) and isinstance(job.error, PeopleError)
    assert other.result.pieces


PASSAGE = "Once upon a time there was a village. The quick brown fox jumps over the dog."
WHY = {
    "gpt2": Attribute(TEXT), "llama": Attribute(TEXT, "the", "and"), "classifier": Attribute(TEXT, rival="LABEL_1"),
    "reader": Attribute(PASSAGE, question="Who jumps over the dog?"), "t5": Attribute("the quick brown fox"),
    "marian": Attribute("the quick brown fox", begun="le renard"),
    "chat": Attribute("", turns=(("user", "Once upon a time"), ("assistant", "there was"))),
}  # fmt: skip


@pytest.mark.parametrize("name", WHY)
def test_gradients_add_up_to_the_difference(models: dict[str, Any], name: str) -> None:
    request, job = WHY[name], KeptJob(WHY[name])
    with torch.inference_mode():
        models[name].run([job])
    if job.error:
        raise job.error
    found = job.result
    parts = found.parts.values()
    assert len(parts) == len(found.tokens) and found.answer != found.rival and job.texts
    change = abs(found.after - found.before)
    assert abs(float(parts.sum()) - (found.after - found.before)) <= found.error * change + 1e-3
    assert found.error <= 0.05 or name == "t5"  # whose random weights make a rough way, and it says so
    assert all(value == 0 for value, piece in zip(parts, found.tokens, strict=True) if piece.is_special)
    if name in ("gpt2", "classifier"):
        logits = straight(models[name]).logits[0]
        top = (logits[-1] if logits.dim() == 2 else logits).topk(2).values
        assert request.rival or found.after == pytest.approx(float(top[0] - top[1]), abs=1e-3)
    (hidden,) = run(models[name], replace(request, method="occlusion"))
    assert hidden.after == pytest.approx(found.after, abs=1e-3) and len(hidden.parts.values()) == len(parts)


@pytest.mark.parametrize("name", ["gpt2", "llama", "chat", "classifier", "reader"])
def test_a_model_that_is_held_still_is_linear_in_its_text(models: dict[str, Any], name: str) -> None:
    """So that parts add up whatever the text, biases and positions counted; afterwards it is as it was."""
    backend = models[name]
    needed = [one.requires_grad for one in backend.module.parameters()]
    (found,) = run(backend, replace(WHY[name], method="layers"))
    parts = found.parts.values()
    assert found.error <= 1e-3 and parts.any()
    assert float(parts.sum()) == pytest.approx(found.after - found.before, rel=1e-3, abs=1e-5)
    assert [one.requires_grad for one in backend.module.parameters()] == needed
    (plain,) = run(backend, replace(WHY[name], method="occlusion"))
    assert plain.after == pytest.approx(found.after, abs=1e-4), "no rule is left behind"


def test_a_layer_by_hand(models: dict[str, Any]) -> None:
    """Without attention and feed-forward a decoder adds nothing: a word's own part is its norm's and the output's."""
    module = models["llama"].module
    vectors = torch.randn(3, module.config.hidden_size, generator=torch.Generator().manual_seed(0))
    question = attributing.Question(
        vectors, torch.zeros_like(vectors), lambda given: (module.model.norm(given) @ module.lm_head.weight[0])[:, -1]
    )
    with attributing.differentiable():
        found = relevance.relevant(question, module, lambda *_: None)
    norm = module.model.norm
    own = vectors[-1] * norm.weight * torch.rsqrt(vectors[-1].pow(2).mean() + norm.variance_epsilon)
    assert found.parts.tolist() == pytest.approx([0, 0, float(own @ module.lm_head.weight[0])], abs=1e-5)
    assert found.before == pytest.approx(0) and found.error == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", ["t5", "marian"])
def test_translators_are_not_taken_apart_by_layers(models: dict[str, Any], name: str) -> None:
    with pytest.raises(UnsupportedError, match="Choose integrated gradients"):
        run(models[name], replace(WHY[name], method="layers"))


@pytest.mark.parametrize("method", ["gradients", "occlusion", "layers"])
def test_an_applications_own_words_have_no_part(models: dict[str, Any], method: Any) -> None:
    fixed = "the quick brown "
    request = Attribute(f"{fixed}fox jumps", method=method, fixed=len(fixed))
    (found,) = run(models["gpt2"], request)
    kept = len(models["gpt2"].tokenizer(fixed)["input_ids"])
    assert not found.parts.values()[:kept].any() and found.parts.values()[kept:].any()


def test_a_span_is_asked_about_where_it_stands(models: dict[str, Any]) -> None:
    request = WHY["reader"]
    (found,) = run(models["reader"], replace(request, answer="quick brown fox"))
    assert found.answer.casefold() == "quick brown fox" and found.rival.casefold() != found.answer.casefold()
    (other,) = run(models["reader"], replace(request, answer="quick brown fox", rival="village"))
    assert other.rival.casefold() == "village"
    (none,) = run(models["reader"], replace(request, answer="village"))
    assert none.rival == ""  # against no answer
    with pytest.raises(InputError, match="does not stand"):
        run(models["reader"], replace(request, answer="zebra"))
    with pytest.raises(TooLargeError):
        run(models["reader"], replace(request, text=PASSAGE * 40))


def test_of_a_chat_only_what_was_said_counts(models: dict[str, Any]) -> None:
    (found,) = run(models["chat"], WHY["chat"])
    said = {"once", "upon", "a", "time", "there", "was"}
    for piece, value in zip(found.tokens, found.parts.values(), strict=True):
        if value:
            assert any(piece.text.strip().casefold() in word for word in said), piece


def test_what_was_said_in_a_chat_is_found_where_signs_are_cut_into_bytes(models: dict[str, Any]) -> None:
    said = "a 🏅 fox"
    (found,) = run(models["chat"], Attribute("", method="occlusion", turns=(("user", "the dog"), ("user", said))))
    texts = [piece.text for piece in found.tokens]
    assert any(text.startswith("<0x") for text in texts), "or else this test tests nothing"
    places = places_of(found.tokens, ["the dog", said])
    assert "".join(texts[at] for at in places[0]).strip() == "the dog"
    assert "🏅" in "".join(texts[at] for at in places[1]) and found.parts.values()[list(places[1])].any()
    assert places_of(found.tokens, ["zebra"]) == [range(0)]


@pytest.mark.parametrize("name", ["gpt2", "classifier"])
def test_narrow_weights_are_taken_apart_in_float32(models: dict[str, Any], name: str) -> None:
    """As exactly as a float32 copy of the same rounded weights."""
    backend = models[name]
    narrow, wide = (type(backend.module)(backend.module.config).eval() for _ in range(2))
    narrow.load_state_dict(backend.module.state_dict())
    wide.load_state_dict(narrow.bfloat16().state_dict())
    vectors = wide.get_input_embeddings()(backend.tokenizer(TEXT, return_tensors="pt")["input_ids"])
    with attributing.wide():
        mine = narrow(inputs_embeds=vectors).logits
    torch.testing.assert_close(mine, wide(inputs_embeds=vectors).logits, atol=1e-4, rtol=1e-4)
    slopes = []
    for module in (narrow, wide):
        start = vectors.detach().clone().requires_grad_()
        with attributing.wide():
            (slope,) = torch.autograd.grad(module(inputs_embeds=start).logits[..., 0].sum(), start)
        slopes.append(slope)
    torch.testing.assert_close(slopes[0], slopes[1], atol=1e-4, rtol=1e-3)


def test_the_parts_are_those_of_captum(models: dict[str, Any]) -> None:
    captum = pytest.importorskip("captum.attr", reason="requirements-benchmarks.txt has it")
    backend = models["classifier"]
    (found,) = run(backend, Attribute(TEXT, "LABEL_0", "LABEL_1"))
    ids = backend.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    special = torch.tensor([[piece.is_special for piece in found.tokens]])
    table = backend.module.get_input_embeddings()
    empty = table(torch.where(special, ids, torch.full_like(ids, backend.tokenizer.pad_token_id))).detach()

    def difference(vectors: torch.Tensor) -> torch.Tensor:
        logits = backend.module(inputs_embeds=vectors).logits
        return logits[:, 0] - logits[:, 1]

    theirs = captum.IntegratedGradients(difference).attribute(table(ids).detach(), empty, n_steps=200)
    np.testing.assert_allclose(found.parts.values(), theirs.sum(-1)[0].detach(), atol=0.02 * abs(found.after) + 1e-3)


def test_occlusion_is_what_is_lost_without_a_token(models: dict[str, Any]) -> None:
    backend = models["gpt2"]
    (found,) = run(backend, Attribute("Once upon a", method="occlusion"))
    ids = backend.tokenizer("Once upon a", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        own, rival = backend.module(ids).logits[0, -1].topk(2).indices.tolist()
        table = backend.module.get_input_embeddings()
        vectors = table(ids)
        hidden = vectors.clone()
        hidden[0, 1] = table.weight.mean(0)
        full, without = (backend.module(inputs_embeds=one).logits[0, -1] for one in (vectors, hidden))
    expected = float((full[own] - full[rival]) - (without[own] - without[rival]))
    assert found.parts.values()[1] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(InputError, match="no label"):
        run(models["classifier"], Attribute(TEXT, "nonsense"))
    with pytest.raises(InputError, match="same"):
        run(models["classifier"], Attribute(TEXT, "LABEL_1", "LABEL_1"))
