"""Per-request sampling inside transformers' continuous batching, in the order that `Sampling` documents.

Temperature, top-k and top-p are the library's; penalty, min-p and the seeded draw are ours. The draw adds Gumbel noise
computed from the request's seed, the position and the token, so the likeliest sum is a sample (Maddison et al. 2014)
that depends on nobody else in the batch.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
    ContinuousBatchingTemperatureLogitsWarper,
    ContinuousBatchingTopKLogitsWarper,
    ContinuousBatchingTopPLogitsWarper,
)

from engine.requests import Sampling

GREEDY_SEED = -1
MASK = 0xFFFFFFFF
STEP_BYTES = 48
"""Bytes of one step for each row and token of the vocabulary: scores, their sorted copies, noise."""


def arguments(sampling: Sampling, slot: int) -> dict[str, Any]:
    """The settings as the processors below take them."""
    is_greedy = sampling.temperature == 0
    settings: dict[str, Any] = {
        "temperature": 1.0 if is_greedy else float(sampling.temperature),
        "top_p": float(sampling.top_p),
        "min_p": float(sampling.min_p),
        "seed": GREEDY_SEED if is_greedy else int(sampling.seed or 0),
        "repetition_penalty": float(sampling.repetition_penalty),
        "slot": slot,
    }
    return settings | ({"top_k": sampling.top_k} if sampling.top_k else {})


def processors(seen: SeenTokens, vocabulary: int) -> ContinuousBatchingLogitsProcessorList:
    """All processors of one manager."""
    own = [
        seen,
        ContinuousBatchingTemperatureLogitsWarper(TemperatureLogitsWarper(1.0)),
        ContinuousBatchingTopKLogitsWarper(TopKLogitsWarper(vocabulary)),
        ContinuousBatchingTopPLogitsWarper(TopPLogitsWarper(1.0)),
        MinP(),
        SeededDraw(),
    ]
    made = ContinuousBatchingLogitsProcessorList(LogitsProcessorList(own))
    made.tensors_required = len(own)
    return made


def _as_storage(values: Sequence[float]) -> Tensor:
    """Floats in the int32 storage that the manager carries."""
    return torch.tensor(values, dtype=torch.float32).view(torch.int32)


class SeenTokens(ContinuousBatchingLogitsProcessor):
    """The repetition penalty. It keeps, for each slot, which tokens its request has in prompt and answer.

    The last slot belongs to nobody: rows without a penalty use it.
    """

    supported_kwargs = {"repetition_penalty": float, "slot": int}  # noqa: RUF012
    ignored_kwargs = ()

    def __init__(self, slots: int, vocabulary: int, device: torch.device) -> None:
        self._nobody = slots
        self._seen = torch.zeros(slots + 1, vocabulary, dtype=torch.bool, device=device)
        self._penalties = torch.ones(slots + 1, device=device)
        self._owners: dict[int, tuple[str, int]] = {}

    @property
    def memory_bytes(self) -> int:
        """The table, and what one step over all rows takes: some vectors as wide as the vocabulary for each."""
        return int(self._seen.nbytes) + self._seen.numel() * STEP_BYTES

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        int32_tensor.fill_(self._nobody)

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Tensor:
        slots = [self._update(request.state) for request in requests_with_new_token]
        if self._seen.is_cuda and any(slot != self._nobody for slot in slots):
            torch.cuda.current_stream(self._seen.device).synchronize()  # the step reads the table on another stream
        return torch.tensor(slots, dtype=torch.int32)

    def _update(self, state: Any) -> int:
        """Enter the request's tokens that are new since last time; its slot."""
        penalty = state.logit_processor_kwargs.get("repetition_penalty", 1.0)
        slot = state.logit_processor_kwargs.get("slot", self._nobody)
        if penalty == 1.0 or slot == self._nobody:
            return self._nobody
        tokens = state.initial_tokens + state.generated_tokens
        owner, count = self._owners.get(slot, ("", 0))
        if owner != state.request_id:
            self._seen[slot] = False
            self._penalties[slot] = penalty
            count = 0
        if new := tokens[count:]:
            self._seen[slot, torch.tensor(new, device=self._seen.device)] = True
        self._owners[slot] = (state.request_id, len(tokens))
        return int(slot)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        slots = tensor_arg[: scores.size(0)].long()
        penalties = self._penalties[slots][:, None]
        punished = torch.where(scores < 0, scores * penalties, scores / penalties)
        return torch.where(self._seen[slots], punished, scores)


class MinP(ContinuousBatchingLogitsProcessor):
    """Drops tokens less likely than a share of the likeliest."""

    supported_kwargs = {"min_p": float}  # noqa: RUF012
    ignored_kwargs = ()

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        int32_tensor.fill_(0)

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Tensor:
        return _as_storage(
            [request.state.logit_processor_kwargs.get("min_p", 0.0) for request in requests_with_new_token]
        )

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        shares = tensor_arg[: scores.size(0)].view(torch.float32)[:, None]
        return scores.masked_fill(scores < scores.amax(-1, keepdim=True) + shares.log(), -torch.inf)


class SeededDraw(ContinuousBatchingLogitsProcessor):
    """Turns the manager's argmax into a draw, but for greedy requests."""

    supported_kwargs = {"seed": int}  # noqa: RUF012
    ignored_kwargs = ()

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        int32_tensor.fill_(0)

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Tensor:
        return torch.tensor([_key(request.state) for request in requests_with_new_token], dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        keys = tensor_arg[: scores.size(0)].long()[:, None]
        return torch.where(keys == 0, scores, scores + gumbel(keys, scores.size(1)))


def _key(state: Any) -> int:
    """A number of 31 bits from the seed and the position; 0 for a greedy request."""
    seed = state.logit_processor_kwargs.get("seed", GREEDY_SEED)
    if seed == GREEDY_SEED:
        return 0
    return zlib.crc32(struct.pack("<qq", seed, state.position_offset)) >> 1 or 1


def gumbel(keys: Tensor, count: int) -> Tensor:
    """Gumbel noise (rows, count) that is a function of the keys (rows, 1); the hash is murmur3's last step."""
    x = (keys + torch.arange(count, device=keys.device) * 0x9E3779B1) & MASK
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = ((x ^ (x >> shift)) * factor) & MASK
    uniform = ((x ^ (x >> 16)).double() + 0.5) / 2**32
    return -(-uniform.log()).log().float()
