"""`pare …`: what you do with data before a run, and with bundles and the store afterwards."""

import argparse
import math
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pare.artifact import MANIFEST
from pare.errors import ConfigError, PareError
from pare.files import beside, make_writable
from pare.machine import number_gpus_as_told
from pare.printing import forget, print_on_unread, show_any_character
from pare.stopping import listen
from pare.store import SCRATCH_DAYS, Entry, Store, usual_root

NO_LIMIT = 1_000_000  # tokens


def main(arguments: Sequence[str] | None = None) -> int:
    show_any_character()
    number_gpus_as_told()
    try:
        code = carry_out(arguments)
        sys.stdout.flush()  # or it would be too late to hear that nobody reads it
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `pare store ls | head`
        forget(sys.stdout.fileno())
        return 1
    except PareError as e:
        for line in getattr(e, "problems", [str(e)]):
            print(f"error: {line}", file=sys.stderr)
        return e.exit_code


def carry_out(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="pare", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    store = commands.add_parser("store", help="look after the store")
    store.add_argument(
        "--root",
        type=place,
        default=usual_root(),
        help="its folder (default: $PARE_STORE, else artifacts)",
    )
    actions = store.add_subparsers(dest="action", required=True)
    actions.add_parser("ls", help="list what it holds")
    actions.add_parser("verify", help="check every byte; damaged entries are moved out where they can be")
    gc = actions.add_parser(
        "gc",
        help="remove leftovers, interrupted training once it is "
        f"{SCRATCH_DAYS:g} days old, and with --unused-days old entries",
    )
    gc.add_argument("--unused-days", type=days, default=math.inf, metavar="N")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    get = actions.add_parser("get", help="copy an entry's files, a checkpoint say, to a new folder")
    get.add_argument("key", help="its key, or how the key begins")
    get.add_argument("folder", type=Path)
    data = commands.add_parser("data", help="look at a task's data before training on it")
    data.add_argument("overrides", nargs="+", help="as run.py takes them: task=ocnli model=bert_base_zh")
    evaluate = commands.add_parser("evaluate", help="score and measure a bundle on this machine")
    evaluate.add_argument("bundle", type=Path, help="the folder that a run wrote")
    evaluate.add_argument(
        "overrides", nargs="*", help="as run.py takes them, of the target only: hardware=cpu measure=strict"
    )
    evaluate.add_argument(
        "--data", type=place, metavar="FILE", help="labelled texts to score it on, instead of test"
    )
    evaluate.add_argument("--out", type=place, metavar="FOLDER", help="a new one (default: below runs/)")
    track = commands.add_parser("track", help="bring results to a tracker after the fact")
    deeds = track.add_subparsers(dest="action", required=True)
    resync = deeds.add_parser("resync", help="make the runs of jobs and sweeps anew, from their folders")
    resync.add_argument(
        "words", nargs="+", metavar="FOLDER", help="… and overrides: tracker=wandb tracker.project=mine"
    )
    space = deeds.add_parser("workspace", help="save a ready-made workspace to a project of wandb's")
    space.add_argument("project", metavar="ENTITY/PROJECT", type=entity_and_project)
    space.add_argument("--show", action="store_true", help="only print what would be sent")
    add_report(commands)
    options, more = parser.parse_known_args(arguments)
    if unknown := [word for word in more if options.command != "evaluate" or word.startswith("-")]:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.command == "evaluate":
        return evaluate_bundle(options.bundle, [*options.overrides, *more], options.out, options.data)
    if options.command == "track":
        if options.action == "workspace":
            return make_workspace(options.project, options.show)
        return track_again(options.words)
    if options.command == "report":
        return write_report(options)
    return look_at_data(options.overrides) if options.command == "data" else look_after(options)


def add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    found = commands.add_parser("report", help="tables, figures and a page of one or many sweeps")
    found.add_argument("paths", nargs="+", type=Path, metavar="SWEEP", help="folders, or result.json files")
    found.add_argument("--layout", default="jobs", help="what rows and columns are, see docs/reports.md")
    for option, told in (
        ("--rows", "a row for each value: compression.width.keep"),
        ("--cols", "columns for each value: quantize"),
        ("--metrics", "columns: exact_match+,delta,speedup,size_mb; with + the change is beside it"),
        ("--group", "a table for each: hardware, task, or any key"),
    ):
        found.add_argument(option, type=comma_separated, default=(), metavar="KEY,…", help=told)
    found.add_argument("--where", action="append", default=[], metavar="KEY=VALUE", help="only these jobs")
    found.add_argument(
        "--baseline", action="append", default=[], metavar="KEY=VALUE", help="compare with this row"
    )
    found.add_argument("--axes", type=comma_separated, default=("latency_ms",), help="costs of the front")
    for limit, unit in (("drop", "POINTS"), ("latency", "MS"), ("size", "MB"), ("memory", "MB")):
        found.add_argument(f"--max-{limit}", type=finite, metavar=unit, help="a budget: the best within it")
    found.add_argument(
        "--to",
        action="extend",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="by its suffix: .md .tex .csv .parquet tables, .html the page, .png .svg .pdf a figure "
        "(default: report.html and table.md in the sweep's folder)",
    )
    found.add_argument("--figure", choices=("front", "stages", "parallel"), default="front")
    found.add_argument("--lang", choices=("en", "zh"), default="en", help="of figures and the page")


def place(text: str) -> Path:
    """A shell leaves the ~ of --root=~/store as it is."""
    return Path(text).expanduser()


def comma_separated(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def write_report(options: argparse.Namespace) -> int:
    """Needs no PyTorch."""
    from pare.study.front import bounds
    from pare.study.reporting import Asked, report
    from pare.study.tables import Layout

    asked = Asked(
        Layout(options.layout, options.rows, options.cols, options.metrics),
        group=options.group,
        where=tuple(options.where),
        baseline=tuple(options.baseline),
        budget=bounds(options.max_drop, options.max_latency, options.max_size, options.max_memory),
        costs=options.axes,
        to=options.to,
        figure=options.figure,
        language=options.lang,
    )
    return report(options.paths, asked)


def look_after(options: argparse.Namespace) -> int:
    """What the file system refuses is one line, too."""
    try:
        return act(options)
    except BrokenPipeError:
        raise
    except OSError as e:
        raise ConfigError(f"{e.filename or options.root}: {e.strerror or e}") from None


def act(options: argparse.Namespace) -> int:
    if not (options.root / "objects").is_dir():  # gc would empty the quarantine of another's folder
        print(f"error: --root: no store at {options.root}", file=sys.stderr)
        return 2
    found = Store(options.root)
    if options.action == "ls":
        return list_entries(found)
    if options.action == "verify":
        return verify(found)
    if options.action == "get":
        return copy_out(found, options.key, options.folder)
    return collect_garbage(found, options.unused_days, options.dry_run)


def look_at_data(overrides: Sequence[str]) -> int:
    """Counts tokens with the model's own tokenizer."""
    from pare import report
    from pare.config import task_and_model
    from pare.stages.networks import tokenizer_for
    from pare.tasks.survey import survey
    from pare.tasks.text import TextEncoder

    task, model = task_and_model(overrides)
    encoder = TextEncoder(tokenizer_for(model, task), NO_LIMIT)
    report.show_survey(task.name, survey(task, encoder))
    return 0


def evaluate_bundle(bundle: Path, overrides: Sequence[str], folder: Path | None, data: Path | None) -> int:
    """Needs neither PyTorch nor anything else that training does."""
    from pare.evaluating import evaluate

    listen()
    print_on_unread()
    evaluate(bundle, overrides, folder, data)
    return 0


def track_again(words: Sequence[str]) -> int:
    """Exit code 1 if a tracker did not take something."""
    from pare.composition import composed, override_keys, plain
    from pare.tracking.resync import resync

    overrides = [word for word in words if "=" in word and not Path(word).exists()]
    keys = override_keys(overrides)
    if others := [o for o, key in zip(overrides, keys, strict=True) if key.partition(".")[0] != "tracker"]:
        raise ConfigError(f"{o}: the tracker can be chosen here; all else is as it was" for o in others)
    tracker = plain(composed(overrides))["tracker"] if overrides else None
    code = 0
    for told in resync([Path(word) for word in words if word not in overrides], tracker):
        print(f"{told.folder}: {told.trouble or told.outcome}")
        code = 1 if told.trouble else code
    return code


def make_workspace(place: tuple[str, str], show: bool) -> int:
    from pare.tracking.workspace import as_json, save, workspace

    made = workspace(*place)
    print(as_json(made) if show else save(made))
    return 0


def entity_and_project(text: str) -> tuple[str, str]:
    entity, _, project = text.partition("/")
    if not entity or not project or "/" in project:
        raise argparse.ArgumentTypeError(f"{text} is not ENTITY/PROJECT")
    return entity, project


def finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"{text} is no limit")
    return found


def days(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not found >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of days")
    return found


def list_entries(store: Store) -> int:
    entries = sorted(store.entries(), key=lambda entry: entry.created)
    for entry in entries:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.created))
        print(f"{entry.key[:16]}  {when}  {entry.size_bytes / 1e6:8.2f} MB  {entry.kind:<11} {words(entry)}")
    total = sum(entry.size_bytes for entry in entries)
    print(f"{len(entries)} entries, {total / 1e6:.2f} MB in {store.root}")
    return 0


def words(entry: Entry) -> str:
    """What an entry is, from its meta."""
    wanted = ("stage", "split", "hardware", "seed")
    return " ".join(f"{name}={entry.meta[name]}" for name in wanted if name in entry.meta)


def verify(store: Store) -> int:
    """Exit code 1 if anything was damaged."""
    found = store.verify()
    for key in found.damaged:
        print(f"damaged: {key}")
    print(f"{found.intact} intact, {len(found.damaged)} damaged")
    return 1 if found.damaged else 0


def copy_out(store: Store, start: str, folder: Path) -> int:
    keys = [entry.key for entry in store.entries() if entry.key.startswith(start)]
    if len(keys) != 1:
        told = "no entry" if not keys else f"{len(keys)} entries"
        print(f"error: key: {told} of {store.root} begins with {start!r}", file=sys.stderr)
        return 2
    if os.path.lexists(folder):
        print(f"error: folder: {folder} is there already; a new one is needed", file=sys.stderr)
        return 2
    make_writable(folder.parent, "folder")
    entry = store.get(keys[0])
    if entry is None:
        print(f"error: key: {keys[0]} is damaged", file=sys.stderr)
        return 1
    with beside(folder) as copy:
        shutil.copytree(entry.path, copy, ignore=shutil.ignore_patterns(MANIFEST), dirs_exist_ok=True)
        copy.rename(folder)
    print(f"{entry.kind} {entry.key[:16]} ({words(entry)}) is in {folder}")
    return 0


def collect_garbage(store: Store, unused_days: float, dry_run: bool) -> int:
    removed = store.gc(unused_days, dry_run=dry_run)
    kinds = (("leftover", removed.temporary), ("damaged", removed.quarantined), ("unused", removed.unused))
    for kind, names in kinds:
        for name in names:
            print(f"{kind}: {name}")
    verb = "would free" if dry_run else "freed"
    print(f"{verb} {removed.freed_bytes / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
