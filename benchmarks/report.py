"""What was measured becomes `docs/performance.md` and its two plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure

DOCS = Path(__file__).parents[1] / "docs"
ROWS = (
    "stories", "visitors", "sentiment", "answers", "translation", "embeddings", "fine-tuning", "start", "rerun",
    "typing", "memory",
)  # fmt: skip


def write(kept: Mapping[str, Any], notes: Path = DOCS / "performance.notes.md", folder: Path = DOCS) -> None:
    """Write the page and both plots; the notes, which people write, are put at its end."""
    figures = [figure for row in ROWS for figure in kept["figures"].get(row, [])]
    page = [INTRODUCTION, _machine(kept["machine"]), "![How far each row is from its goal](performance.svg)\n"]
    page += [table(figures), limits(figures)]
    page += ["## How cost grows\n", "![Curves of cost](growth.svg)\n"] if kept["curves"] else []
    page += [notes.read_text(encoding="utf-8")] if notes.is_file() else []
    (folder / "performance.md").write_text("\n".join(page), encoding="utf-8")
    plot_goals(figures, folder / "performance.svg")
    if kept["curves"]:
        plot_curves(kept["curves"], folder / "growth.svg")


INTRODUCTION = """# Performance

Each row is this app against what one would take instead, on the same machine, with the same weights and as many
threads, each side in a process of its own. A value is the median over rounds in which both sides worked in turns
(lowest and highest round in brackets), so that what else the machine does hits both. `make bench` measures all rows
again and writes this page; `python -m benchmarks sentiment` one row, `--short` tries it out and keeps nothing.
"""


def _machine(machine: Mapping[str, Any]) -> str:
    """What the figures were measured on."""
    if not machine:
        return "Nothing was measured yet.\n"
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    rates = machine["rates"]
    return (
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, "
        f"{machine['system']}; {machine['threads']} threads on every side; load average at the start "
        f"{machine['load']}. "
        f"Measured there in the same run: {rates['bandwidth'] / 1e9:.0f} GB/s read from memory, matrix products at "
        f"{rates['float32'] / 1e9:.0f} (float32), {rates['bfloat16'] / 1e9:.0f} (bfloat16) and "
        f"{rates['int8'] / 1e9:.0f} (int8) billion operations a second. {packages}.\n"
    )


def table(figures: Sequence[Figure]) -> str:
    """The rows, what they should reach, and whether they do."""
    lines = ["| work | peer | ours | peer's | value | goal | |", "|---|---|---|---|---|---|---|"]
    for one in figures:
        verdict = "reached" if one.is_reached else "**missed**"
        sign = "≤" if one.is_at_most else "≥"
        note = f"; {one.note}" if one.note else ""
        lines.append(
            f"| {one.work}{note} | {one.peer} | {number(one.ours)} {one.unit} | {number(one.theirs)} {one.unit} "
            f"| {value(one)} ({number(one.low)} to {number(one.high)}) | {sign} {goal(one)} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def limits(figures: Sequence[Figure]) -> str:
    """What the hardware allows, and how much of it is used."""
    lines = ["## Physical limits\n", "| work | ours | limit | reached of it | limit is |", "|---|---|---|---|---|"]
    for one in figures:
        share, name = one.share_of_limit, one.work
        if share is not None and not any(name in line for line in lines):
            lines.append(
                f"| {name} | {number(one.ours)} {one.unit} | {number(one.limit)} {one.unit} | {share:.0%} "
                f"| {one.limit_note} |"
            )
    return "\n".join(lines) + "\n" + NO_LIMIT


NO_LIMIT = """
The rows of `import engine`, of the first page and of the slider are bound by Python, Streamlit and the browser rather
than by memory or arithmetic. What an empty interpreter takes is subtracted from the first; what an empty page takes
stands in the other two.
"""


def value(one: Figure) -> str:
    """The value with what it is."""
    if one.kind == "times":
        return f"{one.value:.2f} times"
    return f"{number(one.value)} {one.kind}" + (" more" if one.kind == "ms" else "")


def goal(one: Figure) -> str:
    """The goal with what it is."""
    return f"{one.reach:g} times" if one.kind == "times" else f"{one.reach:g} {one.kind}"


def number(amount: float) -> str:
    """Three figures that count."""
    if abs(amount) >= 100:
        return f"{amount:,.0f}"
    return f"{amount:.1f}" if abs(amount) >= 10 else f"{amount:.2f}"


def plot_goals(figures: Sequence[Figure], path: Path) -> None:
    """One bar a row: how many times its goal is reached, 1 being the goal."""
    plot = _pyplot()
    height = max(2.0, 0.34 * len(figures) + 1)
    drawing, axes = plot.subplots(figsize=(9, height), layout="constrained")
    scores = [score(one) for one in figures]
    colours = ["#2f6f4f" if one.is_reached else "#b3402a" for one in figures]
    axes.barh(range(len(figures)), [max(0.02, min(one, 4)) for one in scores], color=colours)
    axes.set_yticks(range(len(figures)), [f"{one.work}\nagainst {one.peer}" for one in figures], fontsize=6)
    axes.invert_yaxis()
    axes.set_xlim(0, 4.5)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("goal reached (1 is the goal; bars end at 4)")
    for place, amount in enumerate(scores):
        label = f"{amount:.2f}" if amount < 100 else "over 100"
        axes.text(max(0.02, min(amount, 4)) + 0.03, place, label, va="center", fontsize=6)
    _save(plot, drawing, path)


def score(one: Figure) -> float:
    """How far a row is: 1 at its goal, more is better. A difference counts as goal less value, on top of 1."""
    if one.kind == "ms":
        return max(0.0, 1 + (one.reach - one.value) / one.reach)
    return one.reach / max(one.value, 1e-9) if one.is_at_most else one.value / one.reach


def plot_curves(curves: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """The curves beside each other; the dashed line would be growth in proportion, from the last point back."""
    plot = _pyplot()
    drawing, grid = plot.subplots(2, 2, figsize=(9, 6), layout="constrained")
    for axes, curve in zip(grid.flat, curves.values(), strict=False):
        xs, ys = zip(*curve["points"], strict=True)
        axes.plot(xs, ys, marker="o", color="#2f4f7f")
        if curve["title"] != "models in memory":
            axes.plot([0, xs[-1]], [0, ys[-1]], linestyle="--", linewidth=0.8, color="grey")
        axes.set(title=curve["title"], xlabel=curve["x"], ylabel=curve["y"], ylim=(0, None))
    _save(plot, drawing, path)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.hashsalt": "parlance", "svg.fonttype": "none", "font.family": "sans-serif"})
    return pyplot


def _save(plot: Any, drawing: Any, path: Path) -> None:
    drawing.savefig(path, metadata={"Date": None}, facecolor="white")
    plot.close(drawing)
