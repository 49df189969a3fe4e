"""Figures of what is inside a model, as plotly takes them; tokens are text in them, never markup."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from engine.explain.chain import ChainResult
from engine.explain.choosing import NextResult
from engine.explain.lens import LensResult
from engine.explain.meaning import MeaningResult
from engine.inspections import Piece
from pages.parts.curves import PALETTE
from pages.parts.language import _
from pages.parts.text import width_of

TEAL, CORAL, FAINT = PALETTE[0], PALETTE[1], "rgba(128,140,136,.45)"
SCALE = [[0.0, "#eef6f4"], [0.25, "#7cc4bd"], [0.6, "#1f8a84"], [1.0, "#0b3b45"]]
WORDS_SCALE = [[0.0, "#eef6f4"], [0.5, "#9fd5cf"], [0.65, "#1f7f7a"], [1.0, "#0b3b45"]]
"""Of cells that hold words: they are read on each colour but a narrow band."""
MOST_CELLS = 64
"""Tokens of a matrix up to which each weight is drawn; beyond it is an image."""
NAMED_PLACES = 32
"""Tokens that an image names along its sides at most."""
MOST_PARTS = 40
"""Of a text that are drawn; the table has all."""
FEW_BARS = 2
"""Up to which bars are not as wide as there is room."""
LEAST_ARC = 0.04
"""Weight below which no arc is drawn."""
PHONE_PLANE, LETTER_WIDTH, LABEL_ROOM = np.array([240.0, 330.0]), 6.0, 0.15
"""Pixels of a plane of points on a phone, of a letter of its names, and the share of its width left at each end."""
MARGIN = {"l": 8, "r": 12, "t": 36, "b": 40}


def escape(text: str) -> str:
    """No markup for plotly, which shows quotes as they are."""
    return html.escape(text, quote=False)


def seen(text: str) -> str:
    """A token whose spaces and line ends are seen."""
    return text.replace(" ", "·").replace("\n", "↵").replace("\t", "→") or "∅"


def named(text: str) -> str:
    """A token as a label: as `seen`, and nothing in it is markup."""
    return escape(seen(text))


def _axis(names: Sequence[str], every: int = 1, **more: Any) -> dict[str, Any]:
    """By number, since two tokens may be alike; `every` one of how many is named."""
    places = list(range(0, len(names), every))
    texts = [names[place] for place in places]
    return {"tickvals": places, "ticktext": texts, "automargin": True, "showgrid": False} | more


def choices(result: NextResult, most: int = 15) -> dict[str, Any]:
    """Three panels of bars: logit, divided by T, and probability with what is kept of it."""
    listed = result.choices[:most][::-1]
    names = [named(one.text) for one in listed]
    colours = [FAINT if one.dropped_by else TEAL for one in listed]
    panels = [
        (_("logit"), [one.logit for one in listed], "%{x:.2f}", "x"),
        (_("÷ T"), [one.scaled for one in listed], "%{x:.2f}", "x2"),
        (_("softmax"), [one.probability for one in listed], "%{x:.2%}", "x3"),
        (_("kept"), [one.share for one in listed], "%{x:.2%}", "x4"),
    ]
    data = [
        {
            "type": "bar", "orientation": "h", "x": values, "y": list(range(len(names))), "name": name, "xaxis": axis,
            "marker": {"color": colours}, "hovertemplate": form, "showlegend": False,
        }
        for name, values, form, axis in panels
    ]  # fmt: skip
    layout: dict[str, Any] = {
        "height": 90 + 24 * len(names), "margin": MARGIN, "bargap": 0.25, "yaxis": _axis(names),
        "transition": {"duration": 250},
    }  # fmt: skip
    for number, (name, _values, _form, axis) in enumerate(panels):
        shares = number >= 2
        layout[axis.replace("x", "xaxis")] = {
            "domain": [0.26 * number, 0.26 * number + 0.22], "title": {"text": name}, "anchor": "y", "nticks": 3,
            "tickformat": ".0%" if shares else "", **({"rangemode": "tozero"} if shares else {}),
        }  # fmt: skip
    return {"data": data, "layout": layout}


def chain_bars(results: Mapping[str, ChainResult]) -> dict[str, Any]:
    """Each token's surprise as a bar, and the sum so far as a line; one text after the other."""
    data: list[dict[str, Any]] = []
    names: list[str] = []
    for number, (title, result) in enumerate(results.items()):
        places = list(range(len(names), len(names) + len(result.links)))
        names += [named(link.text) for link in result.links]
        hover = [
            "" if link.probability is None else f"P = {link.probability:.3%}<br>"
            + "<br>".join(f"{named(rival.text)} {rival.probability:.1%}" for rival in link.rivals)
            for link in result.links
        ]  # fmt: skip
        colour, title = PALETTE[number % len(PALETTE)], escape(title)
        data.append(
            {"type": "bar", "x": places, "y": [link.surprise_bits or 0 for link in result.links], "name": title,
             "marker": {"color": colour}, "hovertext": hover,
             "hovertemplate": "%{y:.2f} bit<br>%{hovertext}<extra></extra>"}
        )  # fmt: skip
        data.append(
            {"type": "scatter", "mode": "lines", "x": places, "y": [link.sum_bits for link in result.links],
            "yaxis": "y2",
             "name": title, "line": {"color": colour, "dash": "dot"}, "showlegend": False,
             "hovertemplate": "Σ %{y:.1f} bit"}
        )  # fmt: skip
    layout = {
        "height": 340, "margin": MARGIN | {"r": 44}, "bargap": 0.15, "showlegend": len(results) > 1,
        "legend": {"orientation": "h", "y": 1.14}, "xaxis": _axis(names, tickangle=-60),
        "yaxis": {"title": {"text": _("surprise in bits")}, "automargin": True},
        "yaxis2": {"overlaying": "y", "side": "right", "showgrid": False, "title": {"text": _("sum")},
        "rangemode": "tozero"},
    }  # fmt: skip
    return {"data": data, "layout": layout}


def matrix(weights: Any, rows: Sequence[Piece], columns: Sequence[Piece]) -> dict[str, Any]:
    """Who looks at whom; above MOST_CELLS tokens as an image, which can be zoomed into like the other."""
    down, across = ([named(piece.text) for piece in some] for some in (rows, columns))
    is_image = max(len(down), len(across)) > MOST_CELLS
    if is_image:
        trace: dict[str, Any] = {
            "type": "image",
            "source": _picture(weights),
            "hovertemplate": "%{y} → %{x}<extra></extra>",
        }
    else:
        trace = {
            "type": "heatmap", "z": np.round(weights, 4).tolist(), "colorscale": SCALE, "zmin": 0, "zmax": 1,
            "showscale": False, "xgap": 1, "ygap": 1,
            "text": [[f"{row} → {column}" for column in across] for row in down],
            "hovertemplate": "%{text}: %{z:.1%}<extra></extra>",
        }  # fmt: skip
    every = 1 + max(len(down), len(across)) // NAMED_PLACES if is_image else 1
    y = _axis(down, every, autorange="reversed", title={"text": _("looks")})
    x = _axis(across, every, side="top", tickangle=-60, title={"text": _("at")})
    layout = {"height": max(260, min(760, 130 + 20 * len(down))), "margin": MARGIN | {"t": 60}, "xaxis": x, "yaxis": y}
    return {"data": [trace], "layout": layout}


def _picture(weights: Any) -> str:
    """Weights as a PNG, darker where a token looks more."""
    strength = np.sqrt(np.clip(np.asarray(weights, np.float64), 0, 1))[..., None]
    pixels = (np.array([245, 250, 249]) * (1 - strength) + np.array([11, 59, 69]) * strength).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def arcs(weights: Any, rows: Sequence[Piece], columns: Sequence[Piece]) -> dict[str, Any]:
    """Lines from each token on the left to those that it looks at, stronger where it looks more; hover tells of one."""
    data: list[dict[str, Any]] = []
    for low, high in ((LEAST_ARC, 0.15), (0.15, 0.35), (0.35, 0.65), (0.65, 1.01)):
        x: list[Any] = []
        y: list[Any] = []
        for row, column in zip(*np.nonzero((weights >= low) & (weights < high)), strict=True):
            x += [0, 1, None]
            y += [int(row), int(column), None]
        line = {"color": TEAL, "width": 1 + 4 * low}
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "y": y,
                "line": line,
                "opacity": 0.2 + 0.75 * low,
                "hoverinfo": "skip",
            }
        )
    for pieces, place, side, table in ((rows, 0, "left", weights), (columns, 1, "right", weights.T)):
        others = columns if place == 0 else rows
        data.append(
            {"type": "scatter", "mode": "markers+text", "x": [place] * len(pieces), "y": list(range(len(pieces))),
             "text": [named(piece.text) for piece in pieces], "textposition": f"middle {side}", "cliponaxis": False,
             "marker": {"color": CORAL, "size": 6}, "hovertext": [_best(one, others) for one in table],
             "hovertemplate": "%{hovertext}<extra></extra>"}
        )  # fmt: skip
    hidden = {"visible": False}
    layout = {
        "height": max(220, min(1400, 60 + 22 * max(len(rows), len(columns)))), "showlegend": False,
        "hovermode": "closest",
        "margin": {"l": 8, "r": 8, "t": 20, "b": 10}, "xaxis": hidden | {"range": [-0.6, 1.6], "fixedrange": True},
        "yaxis": hidden | {"autorange": "reversed"},
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _best(weights: Any, others: Sequence[Piece], most: int = 5) -> str:
    order = np.argsort(-weights)[:most]
    return "<br>".join(f"{named(others[place].text)} {weights[place]:.1%}" for place in order if weights[place] > 0)


def heads(habits: Any, habit: int) -> dict[str, Any]:
    """One habit of every head: layers down, heads across."""
    values = habits[..., habit]
    trace = {
        "type": "heatmap", "z": np.round(values, 4).tolist(), "x0": 1, "y0": 1,  # as the controls count them
        "colorscale": SCALE, "zmin": 0, "xgap": 1, "ygap": 1,
        "zmax": 1 if habit < 3 else None, "hovertemplate": _("layer {y}, head {x}", y="%{y}",
        x="%{x}") + ": %{z:.2f}<extra></extra>",
    }  # fmt: skip
    layout = {
        "height": max(180, min(520, 100 + 14 * len(values))), "margin": MARGIN,
        "yaxis": {"title": {"text": _("layer")}, "automargin": True, "showgrid": False},
        "xaxis": {"title": {"text": _("head")}, "dtick": 1},
    }  # fmt: skip
    return {"data": [trace], "layout": layout}


def lens_table(result: LensResult, most_words: int = 14) -> dict[str, Any]:
    """The likeliest word after each layer and token, its probability as colour; the last layer on top."""
    probabilities = np.exp(result.logprobs.values())
    words = [[place[0] for place in layer] for layer in result.words]
    hover = [
        ["<br>".join(f"{named(word)} {probabilities[layer, token, rank]:.1%}" for rank, word in enumerate(place))
         for token, place in enumerate(places)]
        for layer, places in enumerate(result.words)
    ]  # fmt: skip
    trace: dict[str, Any] = {
        "type": "heatmap", "z": np.round(probabilities[..., 0], 4).tolist(), "colorscale": WORDS_SCALE,
        "zmin": 0, "zmax": 1, "showscale": False,
        "hovertext": hover, "hovertemplate": _("layer {y}", y="%{y}") + "<br>%{hovertext}<extra></extra>", "xgap": 1,
        "ygap": 1,
    }  # fmt: skip
    if len(result.tokens) <= most_words:
        short = [[named(word if len(word) <= 9 else f"{word[:8]}…") for word in layer] for layer in words]
        trace |= {"text": short, "texttemplate": "%{text}", "textfont": {"size": 11}}
    layout = {
        "height": 120 + 22 * len(words), "margin": MARGIN,
        "yaxis": {"title": {"text": _("layer")}, "automargin": True, "showgrid": False},
        "xaxis": _axis([named(piece.text) for piece in result.tokens], tickangle=-60),
    }  # fmt: skip
    return {"data": [trace], "layout": layout}


def points(result: MeaningResult) -> dict[str, Any]:
    """Texts on the plane, the two nearest of each told by hover."""
    plane = result.plane.values()
    names = [named(text if len(text) <= 24 else f"{text[:22]}…").replace("·", " ") for text in result.texts]
    hover = ["<br>".join(f"{escape(one.text[:60])} {one.cosine:.2f}" for one in near) for near in result.nearest]
    trace = {
        "type": "scatter", "mode": "markers+text", "x": plane[:, 0].tolist(), "y": plane[:, 1].tolist(), "text": names,
        "textposition": _label_places(plane, names), "marker": {"color": TEAL, "size": 9}, "hovertext": hover,
        "cliponaxis": False,
        "hovertemplate": "%{text}<br>%{hovertext}<extra></extra>",
    }  # fmt: skip
    bare = {"showticklabels": False, "automargin": True}
    low, high = float(plane[:, 0].min()), float(plane[:, 0].max())
    room = LABEL_ROOM * (high - low or 1)  # for half a label at both ends
    across = bare | {"title": {"text": _("first component")}, "range": [low - room, high + room]}
    layout = {"height": 440, "margin": MARGIN, "xaxis": across,
              "yaxis": bare | {"title": {"text": _("second component")}}, "hovermode": "closest"}  # fmt: skip
    return {"data": [trace], "layout": layout}


def _label_places(plane: np.ndarray, names: Sequence[str]) -> list[str]:
    """Where each name stands beside its point (n, 2): where it covers least of the points and of the names before."""
    spread = np.ptp(plane, axis=0)
    pixels = (plane - plane.min(0)) / np.where(spread > 0, spread, 1) * PHONE_PLANE
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in pixels]
    places: list[str] = []
    for (x, y), name in zip(pixels, names, strict=True):
        wide = LETTER_WIDTH * width_of(name)
        offered = {
            "top center": (x - wide / 2, y + 5, x + wide / 2, y + 19),
            "bottom center": (x - wide / 2, y - 19, x + wide / 2, y - 5),
            "middle right": (x + 7, y - 7, x + 7 + wide, y + 7),
            "middle left": (x - 7 - wide, y - 7, x - 7, y + 7),
        }
        room = LABEL_ROOM * PHONE_PLANE[0]
        costs = {
            place: sum(_covered(box, other) for other in taken)
            + 14 * (max(0.0, -room - box[0]) + max(0.0, box[2] - PHONE_PLANE[0] - room))
            for place, box in offered.items()
        }
        places.append(min(costs, key=lambda place: costs[place]))
        taken.append(offered[places[-1]])
    return places


def _covered(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Square pixels that two boxes (left, low, right, high) have in common."""
    across, up = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, up)


def speaking(parts: Sequence[Any]) -> dict[str, Any]:
    """What each word adds, for the answer to the right and against it to the left; of many the ones that add most."""
    least = sorted((abs(one.value) for one in parts), reverse=True)[:MOST_PARTS][-1:]
    shown = [one for one in parts if abs(one.value) >= least[0]][::-1]
    trace = {
        "type": "bar", "orientation": "h", "x": [one.value for one in shown], "y": list(range(len(shown))),
        "marker": {"color": [TEAL if one.value >= 0 else CORAL for one in shown]},
        "hovertemplate": "%{x:.3f}<extra></extra>",
    }  # fmt: skip
    names = [named(one.text if len(one.text) <= 40 else f"{one.text[:38]}…").replace("·", " ") for one in shown]
    layout = {"height": 90 + 22 * len(shown), "margin": MARGIN, "yaxis": _axis(names), "bargap": 0.25,
              "xaxis": {"title": {"text": _("against ← → for")}}}  # fmt: skip
    return {"data": [trace], "layout": layout}


def change_line(result: LensResult) -> dict[str, Any]:
    """By how much each layer moves the residual stream, on average over the tokens but the first."""
    changes = result.changes.values()
    means = changes[:, 1:].mean(-1) if changes.shape[1] > 1 else changes[:, 0]
    trace = {
        "type": "bar", "x": list(range(1, len(means) + 1)), "y": np.round(means, 4).tolist(), "marker": {"color": TEAL},
        "hovertemplate": "%{y:.0%}<extra></extra>",
    }  # fmt: skip
    layout = {
        "height": 220, "margin": MARGIN, "xaxis": {"title": {"text": _("layer")}},
        "yaxis": {"type": "log", "tickformat": ".0%", "automargin": True, "title": {"text": _("change")}},
    }  # fmt: skip
    return {"data": [trace], "layout": layout}


def grouped(counts: Mapping[str, Mapping[str, float]], unit: str) -> dict[str, Any]:
    """Bars side by side: {series: {category: count}}."""
    data = [
        {"type": "bar", "name": escape(name), "x": [escape(label) for label in values], "y": list(values.values()),
         "marker": {"color": PALETTE[number % len(PALETTE)]}, "hovertemplate": "%{x}: %{y}",
         "width": None if len(values) > FEW_BARS else 0.3}
        for number, (name, values) in enumerate(counts.items())
    ]  # fmt: skip
    bars = len({label for values in counts.values() for label in values})
    room = {"range": [-1, bars]} if bars <= FEW_BARS else {}
    layout = {
        "height": 340, "margin": MARGIN | {"b": 90}, "bargap": 0.2,
        "xaxis": {"type": "category", "automargin": True} | room,
        "yaxis": {"title": {"text": unit}, "automargin": True},
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    }  # fmt: skip
    return {"data": data, "layout": layout}
