"""What a bundle carries for `pare evaluate`: test rows, their judge, the baseline, and the job at home.

Whoever deploys the bundle needs none of it, and may delete the folder.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from pare.build import build
from pare.checkpoint import RECORD, SHIPPED, TOKENIZER, Checkpoint
from pare.decoding import Text
from pare.errors import ConfigError, PareError
from pare.files import write_json
from pare.judging import Judge
from pare.provenance import file_digest, split_digest

FOLDER = "evaluation"
SCHEMA = "pare/evaluation@1"
HOME, JUDGE, ROWS = "home.json", "judge.json", "rows.jsonl"


@dataclass(frozen=True)
class Home:
    """What of a job goes into its results on other targets.

    stages, tried: as `result.json` has them. devices: where what the strategy made can run. standard: with
    operators of ONNX's own only.
    """

    name: str
    key: str
    overrides: Sequence[str]
    seed: int
    task: str
    threads: int | None  # of training
    devices: Sequence[str]
    stages: Sequence[Mapping[str, Any]]
    tried: Sequence[Mapping[str, Any]]
    config: Mapping[str, Any]
    standard: bool = True


@dataclass(frozen=True)
class Evaluation:
    """texts, truths: row by row, of the test split, or of the file that `scored_on` names.

    baselines: every lowering of the fine-tuned model.
    """

    home: Home
    judge: Judge
    texts: Sequence[Text]
    truths: Sequence[Mapping[str, Any]]
    baselines: Sequence[Checkpoint]
    scored_on: str = "test"

    @cached_property
    def rows(self) -> str:
        """The name of the rows: what is scored on others is no comparison."""
        return split_digest(self.texts, self.truths)

    def write(self, bundle: Path) -> None:
        """Into a bundle that is complete but for this."""
        folder = bundle / FOLDER
        folder.mkdir()
        names = []
        for number, baseline in enumerate(self.baselines):
            names.append(f"{FOLDER}/baseline-{number}")
            (bundle / names[-1]).mkdir()
            for name in files_of(baseline):
                link(baseline.path / name, bundle / names[-1] / name)
        with (folder / ROWS).open("w", encoding="utf-8", newline="\n") as file:
            for text, truth in zip(self.texts, self.truths, strict=True):
                row = {"text": text, "truth": truth}
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        write_json(folder / JUDGE, self.judge.as_json())
        checkpoints = (bundle, *(bundle / name for name in names))
        files = [path / name for path in checkpoints for name in files_of(Checkpoint(path, ""))]
        files += [folder / JUDGE, folder / ROWS]
        write_json(
            folder / HOME,
            {
                "schema": SCHEMA,
                **asdict(self.home),
                "baselines": names,
                "files": {file.relative_to(bundle).as_posix(): file_digest(file) for file in files},
            },
        )


def files_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What it takes to run a checkpoint and to know what it is."""
    return (*SHIPPED[checkpoint.format], TOKENIZER, RECORD)


def link(source: Path, target: Path) -> None:
    """The same file twice where the file system allows it: baselines are large, and the store has them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def read_evaluation(bundle: Path) -> Evaluation:
    """Raises ConfigError unless everything is there as it was written."""
    if not bundle.is_dir():
        raise ConfigError(f"{bundle}: no such folder; a bundle that a run wrote is needed")
    folder = bundle / FOLDER
    if not folder.is_dir():
        raise ConfigError(f"{folder}: not found; it is left in a bundle by a run with bundle.evaluation=true")
    record = read_record(folder / HOME)
    check_files(bundle, record["files"])
    problems: list[str] = []
    judge = build(
        json.loads((folder / JUDGE).read_text(encoding="utf-8")), str(folder / JUDGE), problems, Judge
    )
    baselines = [Checkpoint(bundle / name, "") for name in record["baselines"]]
    for checkpoint in (candidate(bundle), *baselines):
        try:
            checkpoint.record  # noqa: B018 (read for its schema)
        except PareError as e:
            problems.append(str(e))
    if problems:
        raise ConfigError(problems)
    with (folder / ROWS).open(encoding="utf-8", newline="\n") as file:
        rows = [json.loads(line) for line in file]
    return Evaluation(
        home=Home(**{field.name: record[field.name] for field in fields(Home) if field.name in record}),
        judge=judge,
        texts=[text if isinstance(text, str) else (text[0], text[1]) for text in (r["text"] for r in rows)],
        truths=[row["truth"] for row in rows],
        baselines=baselines,
    )


def candidate(bundle: Path) -> Checkpoint:
    """The model that a bundle deploys."""
    return Checkpoint(bundle, "")


def read_record(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ConfigError(f"{file}: not found; the bundle is incomplete")
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        schema = record.get("schema")
    except (ValueError, AttributeError):
        raise ConfigError(f"{file}: not an object of JSON; the bundle is damaged") from None
    if schema != SCHEMA:
        raise ConfigError(f"{file}: schema {schema!r}; this version of Pare needs {SCHEMA!r}")
    needed = {"baselines", "files", *(field.name for field in fields(Home) if field.default is MISSING)}
    if missing := sorted(needed - record.keys()):
        raise ConfigError(f"{file}: {', '.join(missing)} missing; the bundle is damaged")
    return record


def check_files(bundle: Path, files: Mapping[str, str]) -> None:
    """files: the digest of each when it was written."""
    problems = []
    for name, digest in files.items():
        file = bundle / name
        if not file.is_file():
            problems.append(f"{file}: not found; the bundle is incomplete, copy it again")
        elif (found := file_digest(file)) != digest:
            problems.append(f"{file}: its digest is {found[:12]}, {digest[:12]} was written; copy it again")
    if problems:
        raise ConfigError(problems)
