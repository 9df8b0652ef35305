"""One HTML file that shows a study, with the library that draws and all data inside."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pare.errors import ConfigError
from pare.files import atomic_write_text
from pare.result import Result
from pare.study.cells import counted, mark_of, notes_of
from pare.study.choices import choices_of
from pare.study.collecting import AS_IT_IS, Study
from pare.study.commands import reproduce
from pare.study.layouts import table_of
from pare.study.quantities import A_TEXT, MEASURED, Quantity, score
from pare.study.statistics import Part, Row, baseline_of, by_stage, estimate
from pare.study.summary import caveats
from pare.study.tables import Layout
from pare.study.words import WORDS, word

PLOTLY = "package_data/plotly.min.js"


def write_page(file: Path, study: Study, parts: Sequence[Part], language: str) -> None:
    """Raises ConfigError where plotly is not installed."""
    if find_spec("plotly") is None:
        raise ConfigError(f"{file}: plotly is not installed (pip install -e '.[report]')")
    drawing = resources.files("plotly").joinpath(PLOTLY).read_text(encoding="utf-8")
    own = {name: resources.files("pare.study").joinpath(name).read_text("utf-8") for name in FILES}
    page = own["page.html"]
    for name, text in (
        ("language", {"en": "en", "zh": "zh-CN"}[language]),
        ("style", own["page.css"]),
        ("data", harmless(data_of(study, parts, language))),
        ("charts", own["charts.js"]),
        ("script", own["page.js"]),
        ("plotly", drawing),
    ):
        before, after = page.split(f"<!--{name}-->")
        page = before + text + after
    atomic_write_text(file, page)


FILES = ("page.html", "page.css", "charts.js", "page.js")


def harmless(data: Mapping[str, Any]) -> str:
    """JSON that nothing of can end the script it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def data_of(study: Study, parts: Sequence[Part], language: str) -> dict[str, Any]:
    return {
        "words": WORDS[language],
        "written": time.strftime("%Y-%m-%d %H:%M"),
        "jobs": len(study.records),
        "done": len(study.done),
        "parts": [part_data(part, language) for part in parts],
        "without": [{"job": r.number, "name": r.name, "why": r.reason} for r in study.without],
        "notes": [*study.notes, *caveats(study)],
        "environments": environments(study, language),
    }


def part_data(part: Part, language: str) -> dict[str, Any]:
    choices = choices_of(part.rows)
    results = [result for row in part.rows for result in row.results]
    primary = results[0].primary
    scores = [primary, *sorted({name for result in results for name in result.scores} - {primary})]
    one_by_one = all(result.measurement.batch == 1 for result in results)
    measured = [q for q in MEASURED.values() if q.name != A_TEXT or not one_by_one]
    quantities = [*map(score, scores), *measured]
    known = [q for q in quantities if any(q.of(result) is not None for result in results)]
    return {
        "title": part.title,
        "primary": primary,
        "scores": [name for name in scores if name in {q.name for q in known}],
        "costs": [q.name for q in known if q.name not in scores],
        "higher": [q.name for q in known if q.higher],
        "digits": {q.name: q.digits for q in known},
        "baselines": baselines(part.rows, known),
        "rows": [row_data(row, part.rows, known, language) for row in part.rows],
        "notes": notes_of(part.rows, table_of(part.rows, Layout()), language),
        "axes": [{"key": axis.key, "scaled": axis.scaled, **axis.drawn()} for axis in choices.axes],
        "too_many": choices.too_many,
    }


def row_data(row: Row, rows: Sequence[Row], quantities: Sequence[Quantity], language: str) -> dict[str, Any]:
    speedup = row.speedup
    verdict = row.verdict
    return {
        "name": name_of(row, language),
        "counted": counted(row, rows),
        "seeds": len(row.jobs),
        "choices": dict(row.choices),
        "values": {q.name: shown(q, [q.of(result) for result in row.results]) for q in quantities},
        "delta": round(-row.drop, 6) + 0.0,
        "interval": None
        if verdict is None
        else [100 * verdict.difference.low, 100 * verdict.difference.high],
        "mark": mark_of(row),
        "speedup": [x for x in (speedup.median, speedup.low, speedup.high) if math.isfinite(x)],
        "again": reproduce(row),
        "stages": stages(row),
        "found": found_by(row),
    }


def name_of(row: Row, language: str) -> str:
    plain = row.name.startswith(AS_IT_IS)
    return row.name.replace(AS_IT_IS, word(AS_IT_IS, language)) if plain else row.name


def shown(quantity: Quantity, values: Sequence[float | None]) -> list[float] | None:
    """The mean, and the deviation over seeds where there are several."""
    found = estimate(values)
    if found is None:
        return None
    both = [found.mean] if found.std is None else [found.mean, found.std]
    return [round(quantity.scale * value, 6) for value in both]


def stages(row: Row) -> list[dict[str, Any]]:
    """On dev, of all seeds that have the stage; change: since the stage before it in each of them."""
    primary = row.results[0].primary
    told = []
    for name, each in by_stage(row.results).items():
        means = {
            "score": estimate([stage["scores"].get(primary) for stage in each]),
            "change": estimate([stage["delta"].get("previous", {}).get(primary) for stage in each]),
            "params": estimate([stage.get("params") for stage in each]),
            "size": estimate([stage.get("size_mb") for stage in each]),
        }
        known = {what: one and round(one.mean, 6) + 0.0 for what, one in means.items()}  # no -0.00
        told.append({"name": name, "seeds": len(each), **known})
    return told


def found_by(row: Row) -> list[str]:
    """What its stages found out, of each seed where there are several."""
    several = len(row.results) > 1
    return [
        f"seed {result.seed}: {line}" if several else line
        for result in row.results
        for line in result.findings()
    ]


def baselines(rows: Sequence[Row], quantities: Sequence[Quantity]) -> list[dict[str, Any]]:
    """The fine-tuned models that the rows were made of: each once, over its seeds."""
    found: dict[tuple[object, ...], list[Result]] = {}
    for row in rows:
        found.setdefault(tuple(map(baseline_of, row.results)), []).extend(row.results)
    return [
        {"values": {q.name: shown(q, [q.before(result) for result in same]) for q in quantities}}
        for same in found.values()
    ]


def environments(study: Study, language: str) -> list[dict[str, Any]]:
    """Each that differs, with the jobs that ran in it."""
    found: dict[str, dict[str, Any]] = {}
    for record, result in study.done:
        environment = {name: value for name, value in result.environment.items() if name != "git"}
        git = result.environment.get("git") or {}
        changed = f" {word('with_changes', language)}" if git.get("dirty") else ""
        told = {**environment, "commit": git.get("commit") and f"{git['commit']}{changed}"}
        same = found.setdefault(json.dumps(told, sort_keys=True), {"is": told, "jobs": []})
        same["jobs"].append(record.number)
    return list(found.values())
