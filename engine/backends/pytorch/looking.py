"""Inside a checkpoint: tokens, rivals of each token, the next token's logits, attention, and the logit lens.

One text at a time, of at most MOST_TOKENS; each layer looks whether anybody still waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.backends.attention import attention, check_short, check_some
from engine.backends.memory import is_memory_error, memory_short
from engine.backends.protocol import Job
from engine.backends.pytorch import attributing, lens, relevance
from engine.backends.pytorch.forwards import accepts
from engine.backends.pytorch.generation import RowMaker
from engine.backends.pytorch.pieces import pieces_of
from engine.backends.pytorch.sampling import drawn_by
from engine.backends.pytorch.why import Whys
from engine.backends.texts import Detokenizer, bytes_of
from engine.errors import InputError, UnsupportedError, before_its_turn
from engine.inspections import (
    MOST_READ,
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
    pack,
)
from engine.requests import Generate, Message, Sampling, Scoring, Token

MOST_RIVALS, MOST_BEST = 20, 200


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
    """Works on requests to look inside one module; `window` is its longest input in tokens, `rows` where it writes."""

    def __init__(
        self,
        title: str,
        module: Any,
        tokenizer: Any,
        window: int,
        origin: Origin,
        lock: threading.Lock,
        rows: RowMaker | None = None,
    ) -> None:
        self._title, self._module, self._tokenizer = title, module, tokenizer
        self._window, self._longest = min(window, MOST_TOKENS), min(window, MOST_READ)
        self._origin, self._lock, self._rows = origin, lock, rows
        self._whys = Whys(title, module, tokenizer, self._window, self._read, rows)
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
                job.fail(before_its_turn())
            except Exception as error:
                job.fail(memory_short(self._title) if is_memory_error(error) else error)
            else:
                job.finish(result)

    @contextmanager
    def _watched(self, job: Job) -> Iterator[None]:
        """Between two layers it ends where nobody waits, and of attention tells how far it is."""
        layers = [layer for one in self._module.modules() if isinstance(one, torch.nn.ModuleList) for layer in one]
        done, is_told = 0, isinstance(job.request, Attend)

        def look(*about: Any) -> None:
            nonlocal done
            if job.is_cancelled:
                raise Stopped
            if is_told and about:
                done += 1
                job.emit(f"{done}/{len(layers)} ")

        look()
        handles = [layer.register_forward_pre_hook(look) for layer in layers]
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
        if read.pieces[0].is_special:  # a mark of the beginning, which nothing is asked of
            texts[0] = read.pieces[0].text
        raws = [None if text else bytes_of(str(name)) for text, name in zip(texts, names, strict=True)]
        found = map(Token, texts, ids_read, own, [(), *ranked], raws)
        return Scoring(tuple(found), origin=self._origin)

    def _next(self, job: Job) -> NextToken:
        request = job.request
        assert isinstance(request, Next)
        ids = self._next_ids(request)
        options = {"logits_to_keep": 1} if accepts(self._module, "logits_to_keep") else {}
        logits = self._module(ids, **options).logits[0, -1].float().cpu()
        best = pieces_of(self._tokenizer, logits.topk(min(MOST_BEST, len(logits))).indices.tolist(), is_running=False)
        read = pieces_of(self._tokenizer, ids[0].tolist())
        drawn = pieces_of(self._tokenizer, self._drawn(request, logits), is_running=False)
        return NextToken(read, pack(logits.numpy(), ("token",)), best, self._origin, drawn)

    def _drawn(self, request: Next, logits: Tensor) -> list[int]:
        """Each token of a text takes the next number of its seed, so that drawing one after the other is writing."""
        lot, before = request.lot, len(request.begun)
        if lot is None:
            return []
        generator = torch.Generator().manual_seed(lot.seed)
        numbers = torch.rand(before + lot.draws, generator=generator, dtype=torch.float64)
        settings = Sampling(temperature=lot.temperature, top_k=lot.top_k, top_p=lot.top_p, min_p=lot.min_p)
        return drawn_by(logits, settings, numbers[before:])

    def _next_ids(self, request: Next) -> Tensor:
        """What comes before the token that is asked for, as the model reads it."""
        if not request.turns or self._rows is None:
            ids, param = self._read(request.text, is_short=False).ids, "text"
        else:
            turns = tuple(Message(*turn) for turn in request.turns)  # type: ignore[arg-type]
            ids, param = torch.tensor([self._rows.prompt_ids(Generate(messages=turns))]), "messages"
        self._check_begun(request.begun)
        ids = torch.cat([ids, ids.new_tensor([request.begun])], 1) if request.begun else ids
        check_short(ids[0].tolist(), param, self._longest)
        return ids.to(self._module.device)

    def _check_begun(self, ids: Sequence[int]) -> None:
        """Raise InputError for what is no token of a text: marks are a template's."""
        marks, count = set(self._tokenizer.all_special_ids), len(self._tokenizer)
        for id in ids:
            if not 0 <= id < count or id in marks:
                raise InputError(
                    "{field} takes ids of tokens that stand for text, which {id} does not. Take those that were drawn.",
                    param="begun", field="begun", id=id,
                )  # fmt: skip

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
        read, norm = self._read(request.text), lens.last_norm(self._module)
        if norm is None:
            raise self._no_lens()
        reading = lens.read(self._module, norm, read.ids)
        if not lens.is_read_right(self._module, norm, reading):
            raise self._no_lens()
        likeliest, count = lens.Likeliest(min(request.top, MOST_RIVALS)), len(reading.states)
        found = []
        for place, state in enumerate(reading.states[:-1], 1):
            if job.is_cancelled:
                raise Stopped
            job.emit(f"{place}/{count} ")
            found.append(likeliest.after(self._module, norm, state))
        found.append(likeliest.of(reading.logits))
        ids, logprobs = (torch.stack(list(one)).cpu() for one in zip(*found, strict=True))
        named = self._words(ids)
        words = tuple(tuple(tuple(named[id] for id in place) for place in layer) for layer in ids.tolist())
        axes = ("layer", "token", "rank")
        return LensReading(
            read.pieces, words, pack(ids.numpy(), axes, "int32"), pack(logprobs.numpy(), axes),
            pack(lens.changes(reading.states), ("layer", "token")), self._origin,
        )  # fmt: skip

    @attributing.differentiable()
    def _attributed(self, job: Job) -> Attribution:
        request = job.request
        assert isinstance(request, Attribute)
        asked = self._whys.ask(request)

        def told(done: int, total: int) -> None:
            if job.is_cancelled:
                raise Stopped
            job.emit(f"{done}/{total} ")

        if request.method == "layers":
            if self._module.config.is_encoder_decoder:
                raise attributing.not_by_layers(self._title)
            found = relevance.relevant(asked.question, self._module, told)
        else:
            way = attributing.integrated if request.method == "gradients" else attributing.occluded
            found = way(asked.question, told)
        figures = found.before, found.after, found.error, Origin("float32", self._origin.weights)
        return Attribution(asked.pieces, pack(found.parts, ("token",)), asked.answer, asked.rival, *figures)

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
