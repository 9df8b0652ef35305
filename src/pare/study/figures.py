"""Figures for a paper, from the same data as the page: PNG, SVG and PDF, in English and Chinese."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import Any

from pare.errors import ConfigError
from pare.files import replaced
from pare.study.choices import NUMBER, choices_of
from pare.study.front import cost_of, front, score_of
from pare.study.page import baselines, name_of, stages
from pare.study.quantities import LATENCY, MEASURED, SIZE, score
from pare.study.statistics import Part, Row
from pare.study.words import word

WIDE, HIGH = 640, 420  # pixels of 1/96 inch: as wide as a page's text
AXIS = 105  # pixels that each of many axes needs for its name
LINE = 70  # letters that it has room for in one line
SHARPNESS = 3  # dots of a PNG for each of them
FAMILY = {
    "en": "Helvetica, Arial, sans-serif",
    "zh": "Noto Sans CJK SC, Source Han Sans SC, SimHei, sans-serif",
}
INK, GRID = "#1b1f24", "#e3e6ea"
FRONT, OTHERS, BASELINE, UP, DOWN = "#0b5cad", "#8c959f", "#b4351c", "#1a7f37", "#b4351c"

Figure = dict[str, Any]


def write_figure(file: Path, parts: Sequence[Part], kind: str, cost: str, language: str) -> None:
    """Raises ConfigError where what draws is not installed, or the machine has no font for it."""
    if find_spec("kaleido") is None or find_spec("plotly") is None:
        raise ConfigError(f"{file}: kaleido is not installed (pip install -e '.[report]')")
    if not parts:
        raise ConfigError(f"{file}: no job has a result yet, so there is nothing to draw")
    if len(parts) > 1:
        raise ConfigError(
            f"{file}: a figure is of one table, here are {len(parts)}; --where takes some of the jobs"
        )
    if language == "zh" and not has_chinese_font():
        raise ConfigError(
            f"{file}: no font with Chinese is installed (Noto Sans CJK: apt install fonts-noto-cjk)"
        )
    import kaleido
    from choreographer.errors import ChromeNotFoundError

    figure = FIGURES[kind](parts[0].rows, cost, language)
    wide = max(WIDE, AXIS * len(figure["data"][0].get("dimensions", ())))
    options = {"format": file.suffix[1:], "width": wide, "height": HIGH, "scale": SHARPNESS}
    try:
        with replaced(file, file.suffix) as temporary:
            kaleido.write_fig_sync(figure, path=temporary, opts=options, cancel_on_error=True)
    except ChromeNotFoundError:
        raise ConfigError(f"{file}: no Chrome or Chromium is installed; kaleido draws with it") from None
    except OSError:
        raise
    except Exception as e:  # of whatever kind kaleido and the browser's driver have for it
        said = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise ConfigError(f"{file}: Chrome, which draws it, failed: {said}") from None


def has_chinese_font() -> bool:
    """Where nothing can tell, it is taken to be so."""
    if shutil.which("fc-list") is None:
        return True
    return bool(subprocess.run(["fc-list", ":lang=zh"], capture_output=True, check=False).stdout.strip())


def layout(language: str, across: str, up: str) -> Figure:
    axis = {"gridcolor": GRID, "linecolor": INK, "zeroline": False, "ticks": "outside", "automargin": True}
    return {
        "font": {"family": FAMILY[language], "size": 14, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 60, "r": 20, "t": 45, "b": 55},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": {**axis, "title": {"text": across}},
        "yaxis": {**axis, "title": {"text": up}},
    }


def front_figure(rows: Sequence[Row], cost: str, language: str) -> Figure:
    """Quality against a cost, with the front drawn in."""
    primary = rows[0].results[0].primary
    best = front(rows, (cost,))
    others = [row for row in rows if row not in best and cost_of(row, cost) is not None]

    def points(name: str, chosen: Sequence[Row], style: Figure) -> Figure:
        return {
            "type": "scatter",
            "name": word(name, language),
            "x": [cost_of(row, cost) for row in chosen],
            "y": [100 * score_of(row) for row in chosen],
            "hovertext": [row.name for row in chosen],
            **style,
        }

    known = baselines(rows, [score(primary), MEASURED[cost]])
    base = [each["values"] for each in known if each["values"][cost] and each["values"][primary]]
    line = {"mode": "lines+markers", "line": {"color": FRONT, "dash": "dot"}}
    return {
        "data": [
            points("others", others, {"mode": "markers", "marker": {"color": OTHERS, "size": 7}}),
            points("on_front", best, {**line, "marker": {"color": FRONT, "size": 10}}),
            {
                "type": "scatter",
                "mode": "markers",
                "name": word("baseline", language),
                "x": [values[cost][0] for values in base],
                "y": [values[primary][0] for values in base],
                "marker": {"color": BASELINE, "size": 12, "symbol": "diamond"},
            },
        ],
        "layout": layout(language, word(cost, language), word(primary, language)),
    }


@dataclass(frozen=True)
class Bar:
    name: str
    start: float
    height: float
    text: str
    colour: str


def bar_of(step: Mapping[str, Any], seeds: int, language: str) -> Bar:
    """From what the seeds that have the stage had before it to what they have then; the first is from 0."""
    some = "" if step["seeds"] == seeds else f" ({step['seeds']} {word('of', language)} {seeds})"
    name, score = f"{step['name']}{some}", 100 * step["score"]
    if step["change"] is None:
        return Bar(name, 0.0, score, f"{score:.2f}", OTHERS)
    change = 100 * step["change"]
    colour = UP if change > 0 else DOWN if change < 0 else OTHERS
    return Bar(name, score - change, change, f"{change:+.2f}", colour)


def stages_figure(rows: Sequence[Row], cost: str, language: str) -> Figure:
    """What every stage of the best row changes, on dev."""
    row = max(front(rows, (cost,)) or rows, key=score_of)
    bars = [bar_of(step, len(row.jobs), language) for step in stages(row) if step["score"] is not None]
    levels = [*(bar.start + bar.height for bar in bars), *(bar.start for bar in bars[1:])]
    low, high = min(levels), max(levels)
    room = max(1.0, 0.25 * (high - low))
    bottom = low - room if low < 0 else max(0.0, low - room)
    lines = wrap(name_of(row, language), LINE, break_on_hyphens=False)
    named = "<br>".join(escape(line, quote=False) for line in lines)
    made = layout(language, named, f"{word(row.results[0].primary, language)} · {word('on_dev', language)}")
    made["yaxis"]["range"] = [bottom, high + room]
    colours = [bar.colour for bar in bars]
    return {
        "data": [
            {
                "type": "bar",
                "x": [bar.name for bar in bars],
                "y": [bar.height for bar in bars],
                "base": [bar.start for bar in bars],
                "text": [bar.text for bar in bars],
                "textposition": "outside",
                "cliponaxis": False,
                # a line where nothing changed
                "marker": {"color": colours, "line": {"color": colours, "width": 1}},
            }
        ],
        "layout": {**made, "showlegend": False},
    }


def parallel_figure(rows: Sequence[Row], cost: str, language: str) -> Figure:
    """Everything that was chosen, and what came of it."""
    primary = rows[0].results[0].primary
    choices = choices_of(rows)
    dimensions = [axis.drawn() for axis in choices.axes]
    for name in dict.fromkeys((cost, LATENCY, SIZE)):
        costs = [cost_of(row, name) for row in rows]
        if None not in costs:
            dimensions.append({"label": word(name, language), "values": costs, "tickformat": NUMBER})
    scores = [100 * score_of(row) for row in rows]
    dimensions.append({"label": word(primary, language), "values": scores, "tickformat": NUMBER})
    line = {"color": scores, "colorscale": "Viridis"}
    names: Sequence[str] = dimensions[0].get("ticktext", [""])
    longest = max(len(name) for name in names)  # they stand left of it
    margin = {"l": min(300, max(70, 20 + 6 * longest)), "r": 50, "t": 60, "b": 30}
    made = {**layout(language, "", ""), "margin": margin}
    if choices.too_many:
        left = ", ".join(
            f"{key} ({count} {word('values', language)})" for key, count in choices.too_many.items()
        )
        text = f"{word('too_many', language)}: {left}"
        place = {"xref": "paper", "yref": "paper", "x": 0, "y": 0, "yanchor": "top", "yshift": -20}
        made["annotations"] = [{"text": text, "showarrow": False, "font": {"size": 11}, **place}]
        margin["b"] = 50
    return {"data": [{"type": "parcoords", "dimensions": dimensions, "line": line}], "layout": made}


FIGURES: Mapping[str, Callable[[Sequence[Row], str, str], Figure]] = {
    "front": front_figure,
    "stages": stages_figure,
    "parallel": parallel_figure,
}
