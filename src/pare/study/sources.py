"""Tables laid out as those of the sources: the uncompressed model first, or one column a task."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from pare.study.cells import Cell, Column, Table, number, with_best, with_count
from pare.study.quantities import A_TEXT, LATENCY, MEMORY, SIZE, SPEEDUP, quantity_of, score
from pare.study.statistics import Row
from pare.study.tables import Layout, explained, plain_table

BASELINE = "baseline"
OF_THE_FIRST = f"{BASELINE}: of the first configuration; each is compared with its own"


def with_baseline(
    metrics: Callable[[Sequence[Row]], Sequence[str]],
) -> Callable[[Sequence[Row], Layout], Table]:
    """The tables of the sources: the uncompressed model first, then what was made of it, with the change."""

    def made(rows: Sequence[Row], layout: Layout) -> Table:
        wanted = layout.metrics or metrics(rows)
        if any(row.against is not None for row in rows):
            return plain_table(rows, wanted, lambda row: row.name)
        table = plain_table([baseline_row(rows), *rows], wanted, lambda row: row.name)
        return replace(table, notes=[OF_THE_FIRST, *table.notes])

    return made


def baseline_row(rows: Sequence[Row]) -> Row:
    """The fine-tuned model of the first row as a row of its own."""
    jobs = [
        (
            record,
            replace(
                result,
                scores=result.baseline_scores,
                measurement=result.baseline_measurement,
                stages=result.stages[:1],
                difference=None,
            ),
        )
        for record, result in rows[0].jobs
    ]
    return Row(BASELINE, jobs)


def known(names: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Those that every result has; without any of them the primary metric."""
    results = [result for row in rows for result in row.results]
    found = [name for name in names if all(name.removesuffix("+") in r.scores for r in results)]
    return found or [f"{results[0].primary}+"]


def end_to_end(rows: Sequence[Row]) -> str:
    """With the time for the text where that was measured."""
    whole = all(result.measurement.end_to_end_ms for row in rows for result in row.results)
    return "end_to_end_ms+" if whole else f"{LATENCY}+"


pp_minilm = with_baseline(lambda rows: [SPEEDUP, *known(["precision", "recall", "f1"], rows)])
hierarchical = with_baseline(lambda rows: [*known(["micro_f1+", "macro_f1+"], rows), A_TEXT])
ernie_tiny = with_baseline(
    lambda rows: [
        f"{rows[0].results[0].primary}+",
        "dtype",
        end_to_end(rows),
        f"{MEMORY}+",
        f"{SIZE}+",
    ]
)


def clue(rows: Sequence[Row], layout: Layout) -> Table:
    """The uncompressed model and configurations by tasks: scores, their mean, latency and speed-up."""
    tasks = list(dict.fromkeys(row.results[0].task for row in rows))
    first = [baseline_row([row for row in rows if row.results[0].task == task]) for task in tasks]
    shown = [*first, *rows]
    configurations = list(dict.fromkeys(row.name for row in shown))
    columns = [
        Column("configuration", "configuration", False),
        *(Column(task, task, higher=True) for task in tasks),
        Column("average", "average", higher=True),
        Column(LATENCY, "p50 ms", higher=False),
        Column(SPEEDUP, "speed-up", higher=True),
    ]
    cells = []
    for name in configurations:
        mine = {row.results[0].task: row for row in shown if row.name == name}
        scores = [
            with_count(number(row.estimate(score(row.results[0].primary)), score("")), row, rows)
            if (row := mine.get(task))
            else Cell()
            for task in tasks
        ]
        whole = len(mine) == len(tasks)  # a mean over fewer tasks would be of something else
        values = [cell.value for cell in scores if cell.value is not None]
        latency = [row.estimate(quantity_of(LATENCY, row.results)) for row in mine.values()]
        speed = [math.log(row.speedup.median) for row in mine.values()]
        means = (
            (sum(values) / len(values), "{:.2f}"),
            (sum(one.mean for one in latency if one) / len(latency), "{:.3f}"),
            (math.exp(sum(speed) / len(speed)), "{:.2f}x"),
        )
        cells.append(
            [
                Cell(name),
                *scores,
                *(Cell(form.format(value), value=value) if whole else Cell("–") for value, form in means),
            ]
        )
    notes = [OF_THE_FIRST, "average: over all tasks; the speed-up's is geometric"]
    return explained(rows, Table("", columns, with_best(columns, cells), notes))
