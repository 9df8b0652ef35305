"""The cells of tables: numbers that know how sure they are, and the columns they stand in."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pare.errors import ConfigError
from pare.result import Result
from pare.study.quantities import DELTA, SPEEDUP, TEXTS, Quantity, quantity_of
from pare.study.statistics import SURE, Estimate, Row
from pare.study.words import word
from pare.targets.intervals import Speedup

NOISE = "≈"


@dataclass(frozen=True)
class Cell:
    """text: the number or the words. spread: what stands behind ±. extra: a change, or an interval.

    mark: stars where a difference is sure, ≈ where it is inside the noise. more: all that is known, by name.
    """

    text: str = ""
    spread: str = ""
    extra: str = ""
    mark: str = ""
    best: bool = False
    value: float | None = None
    more: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """name: as it is asked for. higher: which way is better; None where nothing is.

    once: what stands in it is not shown again in the lines below.
    """

    name: str
    title: str
    numeric: bool = True
    higher: bool | None = None
    once: bool = False


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()

    def shown(self) -> list[list[Cell]]:
        """Its rows as a person reads them."""
        lines = [list(row) for row in self.rows]
        for i, column in enumerate(self.columns):
            for above, line in zip(self.rows, lines[1:] if column.once else (), strict=False):
                if line[i] == above[i]:
                    line[i] = Cell()
        return lines


Getter = Callable[[Row], Cell]
Shown = tuple[Column, Getter]


def shown(name: str, rows: Sequence[Row]) -> Shown:
    """name: a score, what was measured, `delta`, `speedup`, or a text; with a + for its change beside it.

    Raises ConfigError where no result has it, or where it has no change.
    """
    plain = name.removesuffix("+")
    if name == DELTA:
        return Column(DELTA, "Δ points", higher=True), delta
    if name == SPEEDUP:
        return Column(SPEEDUP, "speed-up", higher=True), speedup
    if name in TEXTS:
        return Column(name, name, False), lambda row: words(row, TEXTS[name])
    if plain in (DELTA, SPEEDUP, *TEXTS):
        raise ConfigError(f"--metrics {name}: {plain} has no change of its own")
    results = [result for row in rows for result in row.results]
    quantity = quantity_of(plain, results)
    unit = f" {quantity.unit}" if quantity.unit else ""
    column = Column(name, title_of(quantity) + unit, higher=quantity.higher)
    if name == plain:
        return column, lambda row: number(row.estimate(quantity), quantity)
    return column, lambda row: with_change(row, quantity)


def title_of(quantity: Quantity) -> str:
    """Without its unit."""
    ends = ("_per_s", "_ms", "_mb", "_mj", "_m")
    name = next(
        (quantity.name.removesuffix(end) for end in ends if quantity.name.endswith(end)), quantity.name
    )
    return {"latency": "p50", "latency_p90": "p90", "text": "p50 a text"}.get(name, name)


def number(found: Estimate | None, quantity: Quantity) -> Cell:
    if found is None:
        return Cell()
    scale, digits = quantity.scale, quantity.digits
    value = scale * found.mean
    more = {"n": float(found.n)}
    if found.std is not None:
        more["std"] = scale * found.std
    same = found.std is None or (not found.std and quantity.change != "points")  # sizes, say
    spread = "" if same else f"{scale * (found.std or 0):.{digits}f}"
    return Cell(f"{value:.{digits}f}", spread, value=value, more=more)


def with_change(row: Row, quantity: Quantity) -> Cell:
    """As the sources write it: 86.83 (+1.12), 15.92 (1.46x), 5.40 (-92.2 %)."""
    cell = number(row.estimate(quantity), quantity)
    changed = change_of(row, quantity)
    if changed is None:
        return cell
    told = {"points": f"{changed:+.2f}", "times": f"{changed:.2f}x", "percent": f"{changed:+.1f} %"}
    mark = mark_of(row) if quantity.name == row.results[0].primary else ""
    known = {f"change.{name}": value for name, value in sureness(row, quantity).items()}
    more = {**cell.more, "change": changed, **known}
    return replace(cell, extra=f"({told[quantity.change]})", mark=mark, more=more)


def change_of(row: Row, quantity: Quantity) -> float | None:
    if quantity.change == "times":
        times = row.times(quantity)
        return None if times is None else times.median
    found = row.change(quantity)
    if found is None:
        return None
    before, after = found
    if quantity.change == "points":
        return 100 * (after - before)
    return 100 * (after / before - 1) if before else None


def sureness(row: Row, quantity: Quantity) -> dict[str, float]:
    """The interval of a change where it has one, and its p."""
    if quantity.name == row.results[0].primary:
        return tested(row)
    times = row.times(quantity) if quantity.change == "times" else None
    return {} if times is None else within(times)


def delta(row: Row) -> Cell:
    value = round(-row.drop, 9) + 0.0  # no -0.00
    known = tested(row)
    extra = f"[{known['low']:+.2f}, {known['high']:+.2f}]" if known else ""
    return Cell(f"{value:+.2f}", extra=extra, mark=mark_of(row), value=value, more=known)


def tested(row: Row) -> dict[str, float]:
    """How sure the change of the primary metric is, in points."""
    if row.verdict is None:
        return {}
    sure = row.verdict.difference
    p = math.nan if row.p is None else row.p
    return {"low": 100 * sure.low, "high": 100 * sure.high, "p": p}


def mark_of(row: Row) -> str:
    """How sure the difference of the primary metric is, corrected for how many there are."""
    if row.p is None:
        return ""
    return NOISE if row.p >= SURE else "*" * (1 + (row.p < 0.01) + (row.p < 0.001))


def speedup(row: Row) -> Cell:
    found = row.speedup
    known = within(found)
    extra = f"[{found.low:.2f}, {found.high:.2f}]" if known else ""
    return Cell(f"{found.median:.2f}x", extra=extra, value=found.median, more=known)


def within(times: Speedup) -> dict[str, float]:
    """Its interval, where it was measured in turns."""
    return {} if math.isnan(times.low) else {"low": times.low, "high": times.high}


def words(row: Row, of: Callable[[Result], str]) -> Cell:
    return Cell(" / ".join(dict.fromkeys(map(of, row.results))))


def with_best(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """The best of each column where there are several; equal as shown, equally good."""
    marked = [list(row) for row in rows]
    for i, column in enumerate(columns):
        values = [row[i].value for row in marked if row[i].value is not None]
        if column.higher is None or len(values) < 2:
            continue
        best = max(values) if column.higher else min(values)  # type: ignore[type-var]
        texts = {row[i].text for row in marked if row[i].value == best}
        for row in marked:
            if row[i].text in texts and row[i].value is not None:
                row[i] = replace(row[i], best=True)
    return marked


def counted(row: Row, rows: Sequence[Row]) -> str:
    """Of how many seeds it is, where not all rows are of as many."""
    return f"(n={len(row.jobs)})" if len({len(each.jobs) for each in rows}) > 1 else ""


def with_count(cell: Cell, row: Row, rows: Sequence[Row]) -> Cell:
    return replace(cell, extra=f"{cell.extra} {counted(row, rows)}".strip()) if cell.text else cell


def notes_of(rows: Sequence[Row], table: Table, language: str = "en") -> list[str]:
    """What the signs of the table mean, as far as they are in it."""

    def told(name: str, **what: object) -> str:
        return word(name, language).format(**what)

    marks = {cell.mark for row in table.rows for cell in row}
    names = {row.against.name if row.against else told("own_baseline") for row in rows}
    against = " / ".join(sorted(names))
    found = []
    if any(cell.spread for row in table.rows for cell in row):
        counts = {len(row.jobs) for row in rows}
        found.append(told("note_spread", seeds=counts.pop() if len(counts) == 1 else "n"))
    if marks - {"", NOISE}:
        found.append("* p < 0.05, ** p < 0.01, *** p < 0.001")
    if NOISE in marks:
        found.append(told("note_noise", sign=NOISE, sure=f"{SURE:g}"))
    if marks - {""}:
        tests = sorted({word(row.verdict.test, language) for row in rows if row.verdict is not None})
        family = sum(row.p is not None for row in rows)
        corrected = told("note_corrected", count=family) if family > 1 else ""
        found.append(told("note_p", tests=" / ".join(tests), against=against, corrected=corrected))
    elif any(column.name in (DELTA, SPEEDUP) or column.name.endswith("+") for column in table.columns):
        found.append(told("note_changes", against=against))
    return found
