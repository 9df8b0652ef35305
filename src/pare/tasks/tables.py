"""Rows of a TSV or CSV file, with errors that name the file and the line."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pare.errors import DataError


def read_columns(file: Path, columns: Sequence[str], setting: str) -> list[tuple[int, tuple[str, ...]]]:
    """(line number, values of the named columns) for each row; the first line of the file is its header.

    setting: the config key that led here, for the message.
    """
    if not file.is_file():
        raise DataError(f"{setting}: no such file: {file}")
    separator = "," if file.suffix.lower() == ".csv" else "\t"
    # a quotation mark in a TSV is a character like any other
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE
    with file.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, delimiter=separator, quoting=quoting)
        try:
            header = next(lines, None)
            if not header:
                raise DataError(f"{setting}: {file} is empty; its first line must name the columns")
            for column in columns:
                if column not in header:
                    raise DataError(f"{setting}: {file} has no column {column!r}; its columns are {header}")
            wanted = [header.index(column) for column in columns]
            rows = []
            for cells in lines:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) < len(header):
                    raise DataError(
                        f"{setting}: {file}:{lines.line_num}: {len(cells)} columns, "
                        f"but the header names {len(header)}: {header}"
                    )
                rows.append((lines.line_num, tuple(cells[i].strip() for i in wanted)))
        except UnicodeDecodeError as e:
            raise DataError(f"{setting}: {file} is not UTF-8 ({e.reason} at byte {e.start})") from None
    if not rows:
        raise DataError(f"{setting}: {file} has a header but no rows")
    return rows
