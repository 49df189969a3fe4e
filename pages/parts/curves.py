"""Charts that are redrawn in place while their figures grow: zoom, hidden lines and the pointer's hint stay.

Streamlit's own element for plotly makes a new chart whenever a figure changes, so these call plotly's library, served
by the app itself, on the same spot of the page. `library_routes` is what the app needs for that. Measured in headless
Chromium, two lines of 1,000 points redrawn each second: a redraw takes the page 92 ms here and 189 ms there.
"""

from __future__ import annotations

import html
import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.responses import FileResponse
from starlette.routing import Route

from pages.parts.language import _

TRAIN, VALIDATION, OTHER = "#c8553d", "#1f8a84", "#6a7fb5"
PALETTE = ("#1f8a84", "#c8553d", "#6a7fb5", "#b8860b", "#8e5ea2", "#4c9f38", "#b0567a", "#5b6b73")
"""Told apart by colour-blind eyes, and readable on light and dark."""
MAX_POINTS = 1_500
"""Of one line; longer ones are thinned for the browser's sake."""
LIBRARY = "assets/plotly.min.js"

_CHART = st.components.v2.component(
    "live_chart",
    html="<div data-chart></div>"
    '<button data-save="png" hidden>PNG</button> <button data-save="svg" hidden>SVG</button>',
    css="""button[data-save] { font: inherit; font-size: .8rem; color: inherit; background: transparent;
  cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: 999px; padding: .15rem .7rem; min-height: 2rem; }""",
    js="""
const library = (address) => window.parlancePlotly ??= new Promise((done, failed) => {
  const base = document.querySelector('script[src*="static/js/"]')?.src.split("static/js/")[0] ?? "/";
  const script = document.createElement("script");
  script.src = new URL(address, base);
  script.onload = () => done(window.Plotly);
  script.onerror = () => { window.parlancePlotly = undefined; failed(new Error("no chart library")); };
  document.head.appendChild(script);
});
const themed = (root, layout) => {
  const style = getComputedStyle(root);
  const value = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const line = value("border-color"), faint = /^#[0-9a-f]{6}$/i.test(line) ? `${line}40` : line;
  const axis = { gridcolor: faint, linecolor: line, zeroline: false };
  const names = new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((name) => /^[xy]axis/.test(name))]);
  const axes = Object.fromEntries([...names].map((name) => [name, { ...axis, ...layout[name] }]));
  const ground = value("background-color");
  return {
    ...layout, paper_bgcolor: ground, plot_bgcolor: ground,
    font: { color: value("text-color"), family: value("font") || "sans-serif", size: 12 },
    hoverlabel: { bgcolor: value("secondary-background-color"), font: { color: value("text-color") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: value("gray-text-color"), activecolor: value("primary-color") },
    ...axes,
  };
};
// On a dark page what is most shines, and nothing is the page itself; cells with words keep colours to read them on.
const shaded = (root, traces) => {
  const ground = getComputedStyle(root).getPropertyValue("--st-background-color").trim();
  if (!/^#[0-7]/.test(ground)) return traces;
  const scale = [[0, ground], [0.25, "#12504f"], [0.6, "#2c9c94"], [1, "#d9f7f1"]];
  return traces.map((one) => one.type === "heatmap" && !one.texttemplate ? { ...one, colorscale: scale } : one);
};
export default function ({ data, parentElement }) {
  const root = parentElement.querySelector("[data-chart]");
  root.style.height = `${data.layout.height}px`;
  root.setAttribute("role", "img");
  root.setAttribute("aria-label", data.alt);
  for (const button of parentElement.querySelectorAll("[data-save]")) {
    button.hidden = !data.saves;
    button.setAttribute("aria-label", `${data.saves} ${button.dataset.save.toUpperCase()}`);
    const picture = { format: button.dataset.save, filename: data.name, scale: 2 };
    button.onclick = () => window.Plotly.downloadImage(root, picture);
  }
  library(data.library).then((Plotly) => Plotly.react(root, shaded(root, data.data), themed(root, data.layout), {
    responsive: true, displaylogo: false,
    modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "png", filename: data.name, scale: 2 },
  })).catch(() => { root.textContent = "The chart could not be drawn. Reload the page."; });
  return () => window.Plotly?.purge(root);
}
""",
    isolate_styles=False,
)


def library_routes() -> list[Route]:
    """Where the browser gets plotly's library from: the installed package, so that nobody else is asked."""
    spec = importlib.util.find_spec("plotly")
    assert spec and spec.origin
    path = Path(spec.origin).with_name("package_data") / "plotly.min.js"

    async def send(request: Any) -> FileResponse:
        return FileResponse(path, headers={"Cache-Control": "public, max-age=31536000, immutable"})

    return [Route(f"/{LIBRARY}", send)]


def draw(figure: Mapping[str, Any], *, key: str, alt: str, saves: str = "") -> None:
    """Draw a figure of this module, or redraw it in place; `key` also names its picture when it is saved.

    `saves` is what the buttons say that save it as PNG and SVG, where these are wanted.
    """
    address = f"{LIBRARY}?v={version('plotly')}"
    layout = {"uirevision": key} | figure["layout"]
    _CHART(
        key=key,
        data={"data": figure["data"], "layout": layout, "alt": alt, "name": key, "library": address, "saves": saves},
        height="content",
    )


def as_html(figures: Sequence[Mapping[str, Any]], title: str) -> str:
    """A page with these figures that works without a network (about 5 MB, most of it plotly's library)."""
    from plotly.io import to_html

    parts = [
        to_html(
            dict(figure),
            full_html=False,
            include_plotlyjs=number == 0,
            config={"displaylogo": False, "modeBarButtonsToRemove": ["sendChartToCloud"]},
        )
        for number, figure in enumerate(figures)
    ]
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title></head>'
    return f'{head}<body style="font-family:sans-serif">\n<h1>{html.escape(title)}</h1>\n' + "\n".join(parts)


def line(
    name: str, points: Sequence[tuple[float, float]], colour: str, *, is_faint: bool = False, has_dots: bool = False
) -> dict[str, Any]:
    """One line through (step, value); faint is for raw values behind their smoothed line."""
    points = thinned(points)
    return {
        "type": "scatter",
        "mode": "lines+markers" if has_dots or len(points) == 1 else "lines",
        "name": html.escape(name),
        "x": [x for x, _y in points],
        "y": [y for _x, y in points],
        "line": {"color": colour, "width": 1 if is_faint else 2},
        "marker": {"size": 5},
        "cliponaxis": False,
        "opacity": 0.35 if is_faint else 1,
        "showlegend": not is_faint,
        "hovertemplate": "%{y:.4g}",
    }


def lines(
    title: str, traces: Sequence[Mapping[str, Any]], *, is_log: bool = False, height: int = 300
) -> dict[str, Any]:
    """A figure of lines over steps."""
    has_legend = sum(trace.get("showlegend", True) for trace in traces) > 1
    return {
        "data": list(traces),
        "layout": {
            "title": {"text": html.escape(title), "x": 0, "xanchor": "left", "font": {"size": 14}},
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 40, "b": 64 if has_legend else 40},
            "hovermode": "x unified",
            "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
            "showlegend": has_legend,
            "xaxis": {"title": {"text": _("step")}, "rangemode": "tozero", "automargin": True},
            "yaxis": {"type": "log" if is_log else "linear", "tickformat": ".4~r", "automargin": True},
        },
    }


def bars(title: str, counts: Mapping[str, Mapping[str, int]], *, height: int = 260) -> dict[str, Any]:
    """Bars side by side: {series: {category: count}}."""
    traces = [
        {
            "type": "bar",
            "name": html.escape(name),
            "x": [html.escape(label) for label in values],
            "y": list(values.values()),
            "marker": {"color": PALETTE[number]},
            "hovertemplate": "%{x}: %{y}",
        }
        for number, (name, values) in enumerate(counts.items())
    ]
    figure = lines(title, traces, height=height)
    figure["layout"] |= {
        "hovermode": "closest",
        "bargap": 0.25,
        "xaxis": {"type": "category", "automargin": True},
        "yaxis": {"automargin": True},
    }
    return figure


def histogram(title: str, values: Sequence[float], unit: str, *, limit: float | None = None) -> dict[str, Any]:
    """How often each length occurs, with a line at a limit."""
    trace = {"type": "histogram", "x": list(values), "marker": {"color": PALETTE[0]}, "hovertemplate": "%{x}: %{y}"}
    figure = lines(title, [trace | {"nbinsx": 30}], height=260)
    figure["layout"] |= {"hovermode": "closest", "bargap": 0.05, "xaxis": {"title": {"text": unit}, "automargin": True}}
    figure["layout"]["yaxis"] = {"automargin": True}
    if limit is not None and values and max(values) > 0.6 * limit:
        mark = {"color": TRAIN, "width": 2, "dash": "dash"}
        figure["layout"]["shapes"] = [
            {"type": "line", "x0": limit, "x1": limit, "y0": 0, "y1": 1, "yref": "paper", "line": mark}
        ]
    return figure


def points_of(metrics: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """(step, value) of the lines that have this figure."""
    return [
        (row["step"], row[name])
        for row in metrics
        if isinstance(row.get(name), int | float) and isinstance(row.get("step"), int | float)
    ]


def smoothed(points: Sequence[tuple[float, float]], weight: float) -> list[tuple[float, float]]:
    """An exponential moving average, corrected for its start; `weight` of what came before, 0 changes nothing."""
    total = share = 0.0
    average = []
    for step, value in points:
        total, share = weight * total + (1 - weight) * value, weight * share + (1 - weight)
        average.append((step, total / share))
    return average


def thinned(points: Sequence[tuple[float, float]], most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most that many points, evenly taken, first and last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]
