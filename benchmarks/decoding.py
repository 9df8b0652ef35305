"""What it saves to search for the best row of tags only where the likeliest ones make no sense together.

    python benchmarks/decoding.py [--quick] [--json FILE]

Both sides in this process, on one thread, in turn on the same rows: Viterbi's search through every row, and
what bundles do. First alone, on logits of a network that is sure of tags that make sense; then on the way
from a text to its answer, with the bundle of the default run, whose model is timed by itself too. That run
is made by run.py, or comes from the store. --quick: fewer texts and rounds.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from running import ROOT, Claim, report, store

from pare import decoding
from pare.bundled.predict import Predictor
from pare.decoding import Text, best_tags, transitions, viterbi
from pare.evaluation import read_evaluation
from pare.targets.arm import pin

#: labels and tokens: of a small assistant, and of ATIS, whose 79 labels make 159 tags
SHAPES = ((20, 10), (79, 12))
SURE = 8  # how far the tags that are meant lie above the others, whose logits have a deviation of 1
BRIEF = ("measure.launches=2", "measure.more=0", "measure.seconds=0.5", "measure.peak=false")
WHOLE = "default run, text to answer"
#: how many times quicker
TARGETS = {WHOLE: 1.1, f"{WHOLE}, without the model": 1.5}


def searched(logits: np.ndarray, tags: Sequence[str]) -> list[str]:
    """As `best_tags`, without its short cut."""
    return [tags[i] for i in viterbi(logits, *transitions(tuple(tags))).tolist()]


def rows_of_logits(tags: Sequence[str], tokens: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(tokens, len(tags))).astype(np.float32) for _ in range(count)]
    for row in rows:
        row[np.arange(tokens), viterbi(row, *transitions(tuple(tags)))] += SURE
    return rows


def in_turn(sides: Sequence[Callable[[Any], object]], rows: Sequence[Any], rounds: int) -> list[list[float]]:
    """Milliseconds of each side on each row: the quickest round, as what disturbs only slows."""
    found = [[float("inf")] * len(rows) for _ in sides]
    for turn in range(rounds):
        for place, row in enumerate(rows):
            for side in range(len(sides)) if turn % 2 else reversed(range(len(sides))):
                began = time.perf_counter_ns()
                sides[side](row)
                found[side][place] = min(found[side][place], (time.perf_counter_ns() - began) / 1e6)
    return found


def default_run(folder: Path) -> Path:
    """Its bundle."""
    places = (f"store.root={store()}", f"hydra.run.dir={folder}/run")
    command = [sys.executable, "run.py", *BRIEF, *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the default run: {done.stderr.strip()[-400:]}")
    return folder / "run" / "bundle"


def to_answers(bundle: Path, rounds: int, most: int) -> list[list[float]]:
    """Milliseconds of each text: searched always, as bundles do, and the model alone."""
    predictor = Predictor.load(bundle)
    texts: list[Text] = list(read_evaluation(bundle).texts)[:most]
    ids = {text: np.array([predictor.tokenizer.encode(text).ids]) for text in texts}
    masks = {text: np.ones_like(each) for text, each in ids.items()}

    def always(text: Text) -> object:
        decoding.best_tags = searched
        found = predictor.predict([text])
        decoding.best_tags = best_tags
        return found

    def now(text: Text) -> object:
        return predictor.predict([text])

    def model(text: Text) -> object:
        return predictor.session.run(ids[text], masks[text])

    if any(always(text) != now(text) for text in texts):
        raise SystemExit("the two sides do not answer alike")
    return in_turn((always, now, model), texts, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rounds, most = (5, 100) if arguments.quick else (20, 500)
    sides: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bundle = default_run(Path(folder))
        pin("cpu", 1)
        for labels, tokens in SHAPES:
            tags = ["O", *(f"{kind}-{label}" for label in range(labels) for kind in "BI")]
            ways = [partial(way, tags=tags) for way in (searched, best_tags)]
            found = in_turn(ways, rows_of_logits(tags, tokens, 50), rounds)
            sides[f"{len(tags)} tags, {tokens} tokens"] = found
        always, now, model = to_answers(bundle, rounds, most)
    sides[WHOLE] = [always, now]
    sides[f"{WHOLE}, without the model"] = [np.subtract(side, model).tolist() for side in (always, now)]
    lines = ["| what | searched always, ms | now, ms | times |", "|---|---|---|---|"]
    claims = []
    for what, (before, after) in sides.items():
        times = float(np.median(np.divide(before, after)))
        lines.append(f"| {what} | {np.median(before):.3f} | {np.median(after):.3f} | {times:.2f} |")
        claims.append(Claim(f"{what}: searching always over now", times, TARGETS.get(what, 5.0), True))
    report("\n".join(lines) + "\n", claims, arguments.json)


if __name__ == "__main__":
    main()
