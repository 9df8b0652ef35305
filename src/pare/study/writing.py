"""Tables as Markdown, LaTeX, CSV and Parquet."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pare.errors import ConfigError
from pare.files import atomic_write_text, replaced
from pare.study.cells import NOISE, Cell, Column, Table
from pare.study.choices import number_of

PAGE = 32  # rows of a table that a page of a paper has room for, with its caption and notes
#: in LaTeX's text
TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "Δ": r"$\Delta$",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "≥": r"$\geq$",
    "<": r"$<$",
    ">": r"$>$",
    "·": r"$\cdot$",
}


def markdown(tables: Sequence[Table]) -> str:
    return "\n".join(markdown_of(table) for table in tables)


def markdown_of(table: Table) -> str:
    lines = [f"### {escaped(table.title)}", ""] if table.title else []
    lines.append(row_of(escaped(column.title) for column in table.columns))
    lines.append(row_of("---:" if column.numeric else "---" for column in table.columns))
    for row in table.shown():
        lines.append(row_of(map(marked, row)))
    lines += ["", *(f"{escaped(note)}  " for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def row_of(values: "Sequence[str] | object") -> str:
    return f"| {' | '.join(values)} |"  # type: ignore[arg-type]


def marked(cell: Cell) -> str:
    text = f"**{escaped(cell.text)}**" if cell.best and cell.text else escaped(cell.text)
    spread = f" ± {cell.spread}" if cell.spread else ""
    extra = f" {escaped(cell.extra)}" if cell.extra else ""
    mark = {"": "", NOISE: f" {NOISE}"}.get(cell.mark, escaped(cell.mark))
    return f"{text}{spread}{extra}{mark}"


def escaped(text: str) -> str:
    for sign in "\\|*_<`[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def latex(tables: Sequence[Table]) -> str:
    """A file that compiles as it is; the tables alone can be cut out of it."""
    body = "\n".join(latex_of(table) for table in tables)
    return (
        "\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n"
        "\\usepackage{booktabs}\n\\usepackage{graphicx}\n"
        + cjk(body)
        + "\\begin{document}\n"
        + body
        + "\\end{document}\n"
    )


def cjk(body: str) -> str:
    """Chinese needs another package and another engine; both are asked for only where there is some."""
    chinese = any("\u3000" <= sign <= "\u9fff" or "\uff00" <= sign <= "\uffef" for sign in body)
    return "% with Chinese: xelatex\n\\usepackage{xeCJK}\n" if chinese else ""


def latex_of(table: Table) -> str:
    """What is longer than a page is cut into several tables, since one that floats cannot break."""
    pages = max(1, math.ceil(len(table.rows) / PAGE))
    size = math.ceil(len(table.rows) / pages)
    cuts = [slice(page * size, (page + 1) * size) for page in range(pages)]
    parts = [replace(table, rows=table.rows[cut], notes=()) for cut in cuts]
    parts[-1] = replace(parts[-1], notes=table.notes)
    return "\n".join(latex_part(part, is_first=part is parts[0]) for part in parts)


def latex_part(table: Table, is_first: bool) -> str:
    shape = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [r"\begin{table}[htp]", r"\centering"]
    if table.title and is_first:
        lines.append(rf"\caption{{{tex(table.title)}}}")
    elif table.title:
        lines += [r"\addtocounter{table}{-1}", rf"\caption[]{{{tex(table.title)} (continued)}}"]
    lines += [r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"]
    lines += [rf"\begin{{tabular}}{{{shape}}}", r"\toprule"]
    lines += [" & ".join(tex(column.title) for column in table.columns) + r" \\", r"\midrule"]
    lines += [" & ".join(map(tex_cell, row)) + r" \\" for row in table.shown()]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\par\smallskip{{\footnotesize {tex(note)}\par}}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def tex_cell(cell: Cell) -> str:
    text = rf"\textbf{{{tex(cell.text)}}}" if cell.best and cell.text else tex(cell.text)
    spread = rf" {{\small $\pm$ {cell.spread}}}" if cell.spread else ""
    extra = rf" {{\small {tex(cell.extra)}}}" if cell.extra else ""
    mark = {"": "", NOISE: r"$^{\approx}$"}.get(cell.mark, f"$^{{{cell.mark}}}$")
    return f"{{}}{text}{spread}{extra}{mark}" if text.startswith("[") else f"{text}{spread}{extra}{mark}"


def tex(text: str) -> str:
    return "".join(TEX.get(sign, sign) for sign in text)


def flat(tables: Sequence[Table]) -> tuple[list[str], list[dict[str, str | float | None]]]:
    """Every number that a table knows, one column each: `exact_match`, `exact_match.std`, …"""
    names: dict[str, None] = {}
    rows = []
    for table in tables:
        for cells in table.rows:
            row: dict[str, str | float | None] = {"table": table.title} if len(tables) > 1 else {}
            for column, cell in zip(table.columns, cells, strict=True):
                row |= numbers(column, cell)
            rows.append(row)
            names |= dict.fromkeys(row)
    return list(names), rows


def numbers(column: Column, cell: Cell) -> Mapping[str, str | float | None]:
    if not column.numeric:
        return {column.name: cell.text}
    name = column.name.removesuffix("+")
    return {name: cell.value, **{f"{name}.{key}": value for key, value in cell.more.items()}}


def csv_text(tables: Sequence[Table]) -> str:
    names, rows = flat(tables)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(literal, names))
    writer.writerows([literal(row.get(name)) for name in names] for row in rows)
    return out.getvalue()


def literal(value: str | float | None) -> str | float | None:
    """With a quote before it where a spreadsheet would take it for a formula, as it would `+task.pair=b`."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) and number_of(value) is None:
        return f"'{value}"
    return value


def write_parquet(file: Path, tables: Sequence[Table]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(f"{file}: pyarrow is not installed (pip install -e '.[report]')") from None
    names, rows = flat(tables)
    columns = {name: [row.get(name) for row in rows] for name in names}
    with replaced(file, file.suffix) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(columns), temporary)


TEXT: Mapping[str, Callable[[Sequence[Table]], str]] = {".md": markdown, ".tex": latex, ".csv": csv_text}


def write_tables(file: Path, tables: Sequence[Table]) -> None:
    if file.suffix == ".parquet":
        write_parquet(file, tables)
    else:
        atomic_write_text(file, TEXT[file.suffix](tables))
