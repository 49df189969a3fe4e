"""Inside a checkpoint: tokens, rivals of each token, the next token's logits, attention, and the logit lens.

One text at a time, of at most MOST_TOKENS; each layer looks whether anybody still waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.backends.attention import attention, check_short, check_some
from engine.backends.memory import is_memory_error, memory_short
from engine.backends.protocol import Job
from engine.backends.pytorch import attributing
from engine.backends.pytorch.forwards import accepts
from engine.backends.texts import Detokenizer, bytes_of
from engine.errors import InputError, NotReadyError, UnsupportedError
from engine.inspections import (
    MOST_TOKENS,
    Attend,
    Attention,
    Attribute,
    Attribution,
    Lens,
    LensReading,
    Next,
    NextToken,
    Origin,
    Piece,
    Score,
    Tokenize,
    Tokens,
    bytes_as_text,
    pack,
)
from engine.requests import Scoring, Token

MOST_RIVALS, MOST_BEST = 20, 200
NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "final_norm", "norm_f")
"""What the last normalisation is called in decoders."""
CLOSE = 1e-2
"""How near the lens' last layer comes to the model's own logits, in float32, as a share of their spread."""
LENS_LOGITS = 2**24
"""Most logits of the lens at once."""


class Stopped(Exception):
    """Nobody waits any more."""


class Read(NamedTuple):
    """A text as a model reads it."""

    inputs: dict[str, Tensor]
    pieces: tuple[Piece, ...]

    @property
    def ids(self) -> Tensor:
        return self.inputs["input_ids"]

    @property
    def special(self) -> list[bool]:
        return [piece.is_special for piece in self.pieces]


class Looks:
    """Works on requests to look inside one module; `window` is its longest input in tokens."""

    def __init__(
        self, title: str, module: Any, tokenizer: Any, window: int, origin: Origin, lock: threading.Lock
    ) -> None:
        self._title, self._module, self._tokenizer = title, module, tokenizer
        self._window, self._origin, self._lock = min(window, MOST_TOKENS), origin, lock
        self._kinds: dict[str, Callable[[Job], Any]] = {
            "tokenize": self._tokens, "score": self._scored, "next": self._next, "attend": self._attention,
            "lens": self._lens, "attribute": self._attributed,
        }  # fmt: skip

    def run(self, jobs: Sequence[Job]) -> None:
        """Work on each until it is finished or failed."""
        for job in jobs:
            try:
                with self._watched(job):
                    result = self._kinds[job.request.task](job)
            except Stopped:
                job.fail(NotReadyError("The request was stopped, or its time limit passed, before its turn came."))
            except Exception as error:
                job.fail(memory_short(self._title) if is_memory_error(error) else error)
            else:
                job.finish(result)

    @contextmanager
    def _watched(self, job: Job) -> Iterator[None]:
        """Between two layers it ends where nobody waits."""

        def look(*about: Any) -> None:
            if job.is_cancelled:
                raise Stopped

        look()
        layers = [one for one in self._module.modules() if isinstance(one, torch.nn.ModuleList)]
        handles = [layer.register_forward_pre_hook(look) for one in layers for layer in one]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _read(self, text: str, param: str = "text", *, is_target: bool = False, is_short: bool = True) -> Read:
        options = {"text_target": text} if is_target else {"text": text}
        with self._lock:
            encoded = self._tokenizer(**options, verbose=False)
        ids = list(encoded["input_ids"])
        check_some(ids, param)
        if is_short:
            check_short(ids, param, self._window)
        device = self._module.device
        inputs = {"input_ids": torch.tensor([ids], device=device)}
        types = encoded.get("token_type_ids")
        if types is not None and any(types):
            inputs["token_type_ids"] = torch.tensor([types], device=device)
        return Read(inputs, pieces_of(self._tokenizer, ids))

    def _tokens(self, job: Job) -> Tokens:
        request = job.request
        assert isinstance(request, Tokenize)
        return Tokens(self._read(request.text, is_short=False).pieces, len(self._tokenizer))

    def _scored(self, job: Job) -> Scoring:
        request = job.request
        assert isinstance(request, Score)
        read = self._read(request.text)
        logprobs = self._module(read.ids).logits[0].float().log_softmax(-1)
        values, ids = logprobs.topk(min(MOST_RIVALS, request.rivals, logprobs.shape[-1]))
        named = self._words(ids)
        ranked = [
            tuple((named[id], value) for id, value in zip(*row, strict=True))
            for row in zip(ids[:-1].tolist(), values[:-1].tolist(), strict=True)
        ]
        own = [None, *logprobs[:-1].gather(1, read.ids[0, 1:, None])[:, 0].tolist()]
        ids_read = read.ids[0].tolist()
        texts, names = Detokenizer(self._decode).pieces(ids_read), self._tokenizer.convert_ids_to_tokens(ids_read)
        raws = [None if text else bytes_of(str(name)) for text, name in zip(texts, names, strict=True)]
        found = map(Token, texts, ids_read, own, [(), *ranked], raws)
        return Scoring(tuple(found), origin=self._origin)

    def _next(self, job: Job) -> NextToken:
        request = job.request
        assert isinstance(request, Next)
        read = self._read(request.text)
        options = {"logits_to_keep": 1} if accepts(self._module, "logits_to_keep") else {}
        logits = self._module(read.ids, **options).logits[0, -1].float().cpu()
        best = pieces_of(self._tokenizer, logits.topk(min(MOST_BEST, len(logits))).indices.tolist(), is_running=False)
        return NextToken(read.pieces, pack(logits.numpy(), ("token",)), best, self._origin)

    def _attention(self, job: Job) -> Attention:
        request = job.request
        assert isinstance(request, Attend)
        is_pair = bool(self._module.config.is_encoder_decoder)
        rows, columns, weights = self._across(request) if is_pair else self._within(request)
        if not weights or weights[0] is None:
            raise UnsupportedError(
                "{title} does not tell its attention. Choose another model.", param="model", title=self._title
            )
        layers = torch.stack([one[0] for one in weights]).float().cpu().numpy()
        return attention(rows, columns, layers, request.layer, self._origin)

    def _within(self, request: Attend) -> tuple[Any, Any, Any]:
        read = self._read(request.text)
        with self._told():
            output = self._module.base_model(**read.inputs, output_attentions=True)
        return read.pieces, read.pieces, output.attentions

    def _across(self, request: Attend) -> tuple[Any, Any, Any]:
        """An encoder-decoder's: with a source across to it unless its decoder or encoder is asked for."""
        source = self._read(*request.read_first)
        target = self._read(request.text, is_target=True)
        config = self._module.config
        start = config.decoder_start_token_id
        shifted = torch.cat([target.ids.new_tensor([[start if start is not None else 0]]), target.ids[:, :-1]], 1)
        with self._told():
            output = self._module.base_model(**source.inputs, decoder_input_ids=shifted, output_attentions=True)
        if request.side == "encoder":
            return source.pieces, source.pieces, output.encoder_attentions
        if request.side == "decoder":
            read = pieces_of(self._tokenizer, shifted[0].tolist())
            return read, read, output.decoder_attentions
        return target.pieces, source.pieces, output.cross_attentions

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Kernels for attention keep its weights to themselves; the plain one tells them."""
        before = self._module.config._attn_implementation
        self._module.set_attn_implementation("eager")
        try:
            yield
        finally:
            self._module.set_attn_implementation(before or "sdpa")

    def _lens(self, job: Job) -> LensReading:
        request = job.request
        assert isinstance(request, Lens)
        read, norm = self._read(request.text), self._last_norm()
        kept: list[Tensor] = []
        handle = norm.register_forward_pre_hook(lambda _, arguments: kept.append(arguments[0][0]))
        try:
            output = self._module(read.ids, output_hidden_states=True)
        finally:
            handle.remove()
        states = [*(state[0] for state in output.hidden_states[:-1]), kept[0]]
        found = [self._said(job, norm, state, place, len(states)) for place, state in enumerate(states[:-1])]
        self._check_lens(norm, states[-1], output.logits[0])
        found.append(_likeliest(output.logits[0].float(), request.top))
        ids = torch.stack([each[0] for each in found]).cpu()
        named = self._words(ids)
        words = tuple(tuple(tuple(named[id] for id in place) for place in layer) for layer in ids.tolist())
        logprobs = torch.stack([each[1] for each in found]).cpu().numpy()
        axes = ("layer", "token", "rank")
        return LensReading(
            read.pieces, words, pack(ids.numpy(), axes, "int32"), pack(logprobs, axes),
            pack(_changes(states), ("layer", "token")), self._origin,
        )  # fmt: skip

    def _attributed(self, job: Job) -> Attribution:
        request = job.request
        assert isinstance(request, Attribute)
        read, config = self._read(request.text), self._module.config
        logits = self._module(**read.inputs).logits[0]
        ranked = (logits[-1] if logits.dim() == 2 else logits).argsort(descending=True).tolist()
        is_decoder = bool(self._module.can_generate())
        names: Any = self._word if is_decoder else (lambda id: str(config.id2label[id]))
        known = [
            self._answer_id(one, names, ranked, is_decoder) if one else None for one in (request.answer, request.rival)
        ]
        free = [id for id in ranked[:3] if id not in known]
        chosen, rival = (free.pop(0) if one is None else one for one in known)
        asked = attributing.question(self._module, read.ids, self._neutral(), read.special, chosen, rival)

        def told(done: int, total: int) -> None:
            if job.is_cancelled:
                raise Stopped
            job.emit(f"{done + 1}/{total} ")

        way = attributing.integrated if request.method == "gradients" else attributing.occluded
        found = way(asked, told)
        parts = pack(found.parts, ("token",))
        figures = found.before, found.after, found.error
        return Attribution(read.pieces, parts, names(chosen), names(rival), *figures, self._origin)

    def _answer_id(self, answer: str, names: Any, ranked: list[int], is_decoder: bool) -> int:
        """The token or label of an answer; of a word that takes several tokens the first."""
        if is_decoder:
            known = {names(id).strip().casefold(): id for id in reversed(ranked[:MOST_BEST])}
            ids = self._tokenizer(f" {answer.strip()}", add_special_tokens=False)["input_ids"]
            return known.get(answer.strip().casefold(), int(ids[0]) if ids else ranked[0])
        found = next((id for id in ranked if names(id).casefold() == answer.strip().casefold()), None)
        if found is None:
            raise InputError(
                "{model} has no label {label}. It has {known}.",
                param="answer", model=self._title, label=repr(answer[:60]), known=[names(id) for id in ranked[:10]],
            )  # fmt: skip
        return found

    def _neutral(self) -> int:
        """The token that stands for no content: an encoder's pad or mask, a decoder's end."""
        known = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, self._tokenizer.unk_token_id, 0)
        return next(int(id) for id in known if id is not None)

    def _word(self, id: int) -> str:
        return pieces_of(self._tokenizer, [id], is_running=False)[0].text

    def _said(self, job: Job, norm: Any, state: Tensor, place: int, count: int) -> tuple[Tensor, Tensor]:
        """What the model would say after one layer."""
        if job.is_cancelled:
            raise Stopped
        job.emit(f"{place + 1}/{count} ")
        assert isinstance(job.request, Lens)
        width = max(1, LENS_LOGITS // self._module.config.get_text_config().vocab_size)
        parts = [
            _likeliest(self._logits(norm, state[start : start + width]), job.request.top)
            for start in range(0, len(state), width)
        ]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _logits(self, norm: Any, state: Tensor) -> Tensor:
        logits: Tensor = self._module.get_output_embeddings()(norm(state)).float()
        cap = getattr(self._module.config.get_text_config(), "final_logit_softcapping", None)
        return logits if not cap else torch.tanh(logits / cap) * cap

    def _last_norm(self) -> Any:
        inner = getattr(self._module.base_model, "decoder", self._module.base_model)
        norm = next((found for name in NORMS if (found := getattr(inner, name, None)) is not None), None)
        if norm is None:
            raise self._no_lens()
        return norm

    def _check_lens(self, norm: Any, state: Tensor, logits: Tensor) -> None:
        """What is read off the last layer is what the model says, or else the layers before mean nothing either."""
        own, read = logits[-1].float(), self._logits(norm, state[-1:])[0]
        if float((own - read).abs().max()) > CLOSE * float(own.std()) and self._origin.dtype == "float32":
            raise self._no_lens()

    def _no_lens(self) -> UnsupportedError:
        return UnsupportedError(
            "What {title} would say after each layer cannot be read here. Choose another model.",
            param="model", title=self._title,
        )  # fmt: skip

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _words(self, ids: Tensor) -> dict[int, str]:
        """The text of each of these tokens, looked up once."""
        own = ids.unique().tolist()
        return {piece.id: piece.text for piece in pieces_of(self._tokenizer, own, is_running=False)}


def _likeliest(logits: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Ids and log-probabilities (token, rank)."""
    values, ids = logits.topk(min(top, MOST_RIVALS, logits.shape[-1]))
    return ids, values - logits.logsumexp(-1, keepdim=True)


def _changes(states: Sequence[Tensor]) -> Any:
    """How far each layer moves each token's state, as a share of its length before."""
    moved = [
        ((after - before).float().norm(dim=-1) / before.float().norm(dim=-1).clamp_min(1e-12)).cpu().numpy()
        for before, after in pairwise(states)
    ]
    return np.stack(moved)


def pieces_of(tokenizer: Any, ids: Sequence[int], *, is_running: bool = True) -> tuple[Piece, ...]:
    """Each token as people see it. `is_running` tells tokens of one text from tokens each by itself."""
    special, names = set(tokenizer.all_special_ids), tokenizer.convert_ids_to_tokens(list(ids))

    def decode(some: Sequence[int]) -> str:
        return str(tokenizer.decode(list(some), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    if is_running:
        texts = Detokenizer(decode).pieces(ids)
    else:
        texts = [_alone(decode([id]), str(name)) for id, name in zip(ids, names, strict=True)]
    return tuple(
        Piece(str(name) if id in special else text or _raw(str(name)), int(id), id in special)
        for id, name, text in zip(ids, names, texts, strict=True)
    )


def _alone(text: str, name: str) -> str:
    """The text of a token in the middle of one; some tokenizers take the space off the first."""
    space = " " if name.startswith("\u2581") and not text.startswith(" ") else ""
    return "" if "\ufffd" in text else space + text


def _raw(name: str) -> str:
    """A token that is no text alone: its bytes."""
    raw = bytes_of(name)
    return name if raw is None else bytes_as_text(raw)
