"""Files of labels: which there are, in which order, and the names of their ids."""

import json
from pathlib import Path
from typing import Any

from pare.errors import DataError
from pare.files import text_of

NAMES = ("label_desc", "label_des", "name")  # what CLUE calls the name beside the id


def label_names(file: Path, setting: str) -> dict[str, str]:
    """Names by id, in the order of the file; without ids, by the place from 0 on.

    A name a line, or `id ⇥ name`; a JSON list, or an object of ids and names; CLUE's object a line.
    """
    text = text_of(file, setting)
    if file.suffix == ".json":
        try:
            found = from_json(text)
        except (ValueError, TypeError) as e:
            raise DataError(f"{setting}: {file}: neither a list nor an object of labels ({e})") from None
    else:
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        found = {
            line.split("\t")[0] if "\t" in line else str(i): line.split("\t")[-1]
            for i, line in enumerate(lines)
        }
    if len(found) < 2 or len(set(found.values())) < len(found):
        raise DataError(f"{setting}: {file}: at least two labels are needed, each once")
    return found


def from_json(text: str) -> dict[str, str]:
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = [json.loads(line) for line in text.split("\n") if line.strip()]
    if not isinstance(found, (dict, list)):
        raise TypeError(f"found {str(found)[:40]!r}")
    if isinstance(found, dict):
        return {str(key): str(name) for key, name in found.items()}
    named = {}
    for place, label in enumerate(found):
        if isinstance(label, dict):
            names = [label[name] for name in NAMES if name in label]
            named[str(label.get("label", place))] = str(names[0] if names else label.get("label"))
        else:
            named[str(place)] = str(label)
    return named
