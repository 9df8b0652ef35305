"""Pare's INT8 beside what other tools make of the same fine-tuned checkpoint: quality, latency, size.

    PARE_DATA=… PARE_MODELS=… python benchmarks/peers.py [--quick] [--only 'ort*'] [--json FILE]

MiniLM fine-tuned on BANKING77. Every tool gets the same FP32 graph (the exporter's, attention spelled out),
the same 256 training texts to calibrate on and, to tune, the same dev texts; each works in an environment of
its own below PARE_PEERS (artifacts/peers), made by pip from the versions in its script in peer_arms/. All
graphs are then scored on all test texts and timed side by side on one thread of one ONNX Runtime, as Pare
measures any candidate. The graphs are kept below PARE_PEERS, the numbers in benchmarks/cells/; a tool that
fails is a row that says why. --quick: ONNX Runtime's own recipes, fewer launches, no cells. --only: those
alone, beside Pare's. --report: no runs, only the cells there are.
"""

import ast
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from running import CELLS, ROOT, Claim, arguments_of, keep, options, report, run, store, write_page

from pare.answering import batches_by_length, padded
from pare.checkpoint import ONNX_MODEL, RECORD, TOKENIZER, Checkpoint
from pare.comparing import difference
from pare.config import task_and_model
from pare.encoders.network import load
from pare.files import write_json
from pare.lowering.calibration import sample
from pare.lowering.graph import save
from pare.lowering.onnx_export import to_onnx
from pare.runtimes.onnx_session import Session
from pare.store import Store
from pare.targets.comparison import BASELINE, Comparison
from pare.targets.hardware import Hardware
from pare.targets.intervals import Speedup
from pare.targets.measurement import Measure
from pare.targets.measuring import arms_of, fed
from pare.targets.works import LATENCY
from pare.tasks.task import Split, Task
from pare.tasks.text import TextEncoder

PAGE = ROOT / "docs" / "peers.md"
SCRIPTS = ROOT / "benchmarks" / "peer_arms"
HOME = Path(os.environ.get("PARE_PEERS", ROOT / "artifacts" / "peers"))
JOB = ("task=banking77", "model=minilm_l6", "train.learning_rate=2e-4", "train.epochs=6")
BRIEF = ("hardware=cpu_1thread", "measure.launches=2", "measure.seconds=1")  # it is measured here
FP32, PLAIN, INT8, DYNAMIC = "pare/FP32", "pare/FP32, plain", "pare/INT8", "pare/INT8, dynamic"
OURS = {INT8: ("compression=int8",), DYNAMIC: ("compression=int8_dynamic",)}
CALIBRATION, SEED = 256, 0
BATCHES = (1, 32)
FULL, QUICK = (Measure(launches=n, seconds=20 * n, peak=False) for n in (12, 3))

#: by tool: its script, the package whose version is shown, its recipes
TOOLS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ort": ("ort_dynamic.py", "onnxruntime", ("plain", "optimized", "optimized, per channel")),
    "ort static": (
        "ort_static.py",
        "onnxruntime",
        (
            "QDQ",
            "QDQ, linear maps",
            "optimized, QDQ",
            "optimized, QDQ, linear maps",
            "optimized, QOperator",
        ),
    ),
    "optimum": (
        "optimum_onnx.py",
        "optimum-onnx",
        ("dynamic", "O2, dynamic", "static", "static, linear maps"),
    ),
    "olive": ("olive_ai.py", "olive-ai", ("dynamic", "static")),
    "neural-compressor": ("inc.py", "neural-compressor", ("dynamic", "static", "static, QDQ")),
}


def peers() -> list[str]:
    return [f"{tool}/{recipe}" for tool, (_, _, recipes) in TOOLS.items() for recipe in recipes]


@dataclass(frozen=True)
class Rows:
    """Token ids and the right label of each text."""

    ids: Sequence[Sequence[int]]
    labels: np.ndarray
    pad_id: int

    def batches(self, size: int) -> Iterable[tuple[list[int], np.ndarray, np.ndarray]]:
        """Texts of similar length: which, ids, mask."""
        for rows in batches_by_length([len(row) for row in self.ids], size):
            yield rows, *padded([self.ids[i] for i in rows], self.pad_id)


def rows_of(task: Task, split: Split, encoder: TextEncoder) -> Rows:
    encoded = encoder.encode(task.texts(split), places=False)
    labels = [row["label"] for row in task.labels(split, encoded)]
    return Rows([e.ids for e in encoded], np.array(labels), encoder.pad_id)


def network() -> tuple[Checkpoint, dict[str, Checkpoint]]:
    """The fine-tuned network, and what Pare makes of it."""
    shelf, graphs = Store(store()), {}
    for name, overrides in OURS.items():
        stages = run(name, (*JOB, *overrides, *BRIEF), SEED)["stages"]
        first, last = (shelf.get(stages[i]["key"]) for i in (0, -1))
        assert first is not None
        assert last is not None
        graphs[name] = Checkpoint(last.path, last.digest)
    return Checkpoint(first.path, first.digest), graphs


def give(source: Checkpoint, task: Task, folder: Path) -> None:
    """Writes what every recipe starts from."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = load(source.path, source.outputs)
    save(to_onnx(trained, "plain", 17), folder / "model.onnx")
    save(to_onnx(trained, "fused", 17), folder.with_suffix(".fused.onnx"))
    config = trained.encoder.config
    write_json(folder / "config.json", config.to_dict())
    shape = {
        "heads": config.num_attention_heads,
        "hidden": config.hidden_size,
        "layers": config.num_hidden_layers,
    }
    (folder / "shape.json").write_text(json.dumps(shape), "utf-8")
    encoder = TextEncoder.load(source.path / TOKENIZER, source.max_length)
    texts = task.texts("train")
    chosen = sample([len(text) for text in texts], CALIBRATION, "random", SEED)
    encoded = encoder.encode([texts[i] for i in chosen], places=False)
    np.savez(folder / "calibration.npz", **{f"ids_{i}": np.array(e.ids) for i, e in enumerate(encoded)})
    dev = rows_of(task, "dev", encoder)
    arrays: dict[str, np.ndarray] = {}
    for i, (rows, ids, mask) in enumerate(dev.batches(32)):
        arrays |= {f"ids_{i}": ids, f"mask_{i}": mask, f"labels_{i}": dev.labels[rows]}
    np.savez(folder / "dev.npz", **arrays)


class Unavailable(Exception):
    """Why there is no graph."""


def required(script: Path) -> tuple[str, ...]:
    """REQUIRES of a recipe's script, which cannot be imported here."""
    for node in ast.parse(script.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "REQUIRES":
            return tuple(ast.literal_eval(node.value))
    raise ValueError(f"{script}: no REQUIRES")


def environment(script: Path) -> Path:
    """The Python of an environment that has what the script requires."""
    requires = required(script)
    folder = HOME / requires[0].replace("==", "-")
    python, ready = folder / "bin" / "python", folder / "ready.txt"
    if ready.is_file() and ready.read_text("utf-8").split("\n") == list(requires):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    called([sys.executable, "-m", "venv", str(folder)], "venv")
    called([str(python), "-m", "pip", "install", *requires], "pip")
    ready.write_text("\n".join(requires), "utf-8")
    return python


def called(command: Sequence[str], says: str, folder: Path | None = None, seconds: int = 1800) -> None:
    """In a folder, without this process's paths; raises Unavailable with the last thing it said."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=clean, cwd=folder, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{says}: not done after {seconds} s") from None
    if done.returncode:
        raise Unavailable(f"{says}: {reason(done.stdout, done.stderr)}")


def reason(stdout: str, stderr: str) -> str:
    """One line: which requirements pip found to be at odds, or the last error."""
    said = [line.strip() for line in (*stdout.splitlines(), *stderr.splitlines()) if line.strip()]
    conflicts = [line for line in said if " depends on " in line]
    errors = [line for line in said if "error" in line.lower()] or said[-1:] or ["no message"]
    told = "; ".join(dict.fromkeys(conflicts)) or errors[-1].split(". ")[0]
    return told[:300].replace("|", "/")


def quantized(name: str, given: Path, graphs: Path) -> Path:
    """The graph that a tool's recipe makes."""
    tool, _, recipe = name.partition("/")
    script = SCRIPTS / TOOLS[tool][0]
    python = environment(script)
    output = graphs / f"{slug(name)}.{code_of(script)}.onnx"
    if not output.is_file():
        with TemporaryDirectory(dir=graphs) as folder:
            made = Path(folder) / "model.onnx"
            called([str(python), str(script), recipe, str(given), str(made)], script.name, Path(folder))
            if not made.is_file():
                raise Unavailable(f"{script.name}: wrote no graph")
            made.rename(output)
    return output


def code_of(script: Path) -> str:
    """Changes when what makes the graph does."""
    text = script.read_bytes() + (SCRIPTS / "given.py").read_bytes()
    return hashlib.sha256(text).hexdigest()[:12]


def tool_version(name: str) -> str:
    """Of a peer, what its script requires; of Pare, the runtime's."""
    tool = name.partition("/")[0]
    if tool not in TOOLS:
        return f"onnxruntime {version('onnxruntime-gpu')}"
    script, package, _ = TOOLS[tool]
    found = [r.partition("==")[2] for r in required(SCRIPTS / script) if r.startswith(f"{package}==")]
    return found[0]


def right(model: Path, rows: Rows) -> np.ndarray:
    """Of each text, whether the graph's answer is right."""
    session = Session(str(model))
    found = np.zeros(len(rows.ids), bool)
    for places, ids, mask in rows.batches(32):
        (logits,) = session.run(ids, mask).values()
        found[places] = logits.argmax(-1) == rows.labels[places]
    return found


def above(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """By how much the second is right more often, with an interval, in points."""
    sides = ([(float(x), 1.0) for x in side] for side in (one, other))
    return {key: 100 * value for key, value in asdict(difference(*sides)).items()}


def checkpoint_of(graph: Path, like: Checkpoint, folder: Path) -> Checkpoint:
    """A graph with what else it takes to run it."""
    folder.mkdir()
    for name in (RECORD, TOKENIZER):
        shutil.copyfile(like.path / name, folder / name)
    (folder / ONNX_MODEL).symlink_to(graph)
    return Checkpoint(folder, str(graph))


def measured(only: str, settings: Measure) -> dict[str, dict[str, Any]]:
    """A cell for each graph, all timed side by side."""
    task, _ = task_and_model(list(JOB))
    source, ours = network()
    given = HOME / "given" / source.digest[:16]
    if not (given / "dev.npz").is_file():
        give(source, task, given)
    made = HOME / "graphs" / source.digest[:16]
    made.mkdir(parents=True, exist_ok=True)
    graphs = {FP32: given.with_suffix(".fused.onnx"), PLAIN: given / "model.onnx"}
    graphs |= {name: checkpoint.model_file for name, checkpoint in ours.items()}
    cells: dict[str, dict[str, Any]] = {}
    for name in peers():
        if not fnmatch(name, only):
            continue
        say(name)
        try:
            graphs[name] = quantized(name, given, made)
        except Unavailable as e:
            cells[name] = {"name": name, "version": tool_version(name), "failed": str(e)}
    test = rows_of(task, "test", TextEncoder.load(source.path / TOKENIZER, source.max_length))
    answers = {}
    for name, graph in list(graphs.items()):
        say(f"{name}: scored")
        try:
            answers[name] = right(graph, test)
        except Exception as e:  # a graph that the runtime refuses is a finding
            if name not in peers():
                raise
            reason = str(e).strip().splitlines()[0][:300]
            cells[name] = {"name": name, "version": tool_version(name), "failed": f"does not run: {reason}"}
            del graphs[name]
    with TemporaryDirectory() as folder:
        runnable = {
            name: checkpoint_of(graph, ours[INT8], Path(folder) / slug(name))
            for name, graph in graphs.items()
        }
        timings = [timed(runnable, batch, task, settings) for batch in BATCHES]
    for name, graph in graphs.items():
        cells[name] = {
            "name": name,
            "version": tool_version(name),
            "rows": len(test.ids),
            "accuracy": float(answers[name].mean()),
            "above_fp32": above(answers[FP32], answers[name]),
            "above_pare": above(answers[INT8], answers[name]),
            "size_mb": graph.stat().st_size / 1e6,
            "batches": {str(batch): timing[name] for batch, timing in zip(BATCHES, timings, strict=True)},
        }
    return cells


def timed(graphs: Mapping[str, Checkpoint], batch: int, task: Task, settings: Measure) -> dict[str, Any]:
    """By name, beside Pare's INT8: milliseconds of a call, its ratio to that, and what ran."""
    hardware = Hardware(name="cpu_1thread", threads=1, batch=batch, throughput_batches=(1,))
    texts = settings.timed(task.texts("test"))
    with TemporaryDirectory() as folder, arms_of([hardware.runtime]) as nursery:
        sides = fed([(graph, hardware) for graph in graphs.values()], texts, Path(folder))
        named = dict(zip(graphs, sides, strict=True))
        reference = named.pop(INT8)
        found = Comparison(named, reference, settings, nursery)
        for number in found.launches():
            say(f"batch {batch}: launch {number + 1}")

    def timing(role: str) -> dict[str, Any]:
        p50, its = statistics.median(found.times[role, LATENCY]), found.speedup(role)
        ours = Speedup(1 / its.median, 1 / its.high, 1 / its.low)
        return {"p50_ms": p50, "ratio": asdict(ours), "integers": found.ran[role]["quantized_matmuls"]}

    return {name: timing(name if name in named else BASELINE) for name in graphs}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def slug(name: str) -> str:
    return name.replace("/", ".").replace(", ", "-").replace(" ", "_")


def cell_file(name: str) -> Path:
    return CELLS / f"peer.{slug(name)}.json"


def names() -> list[str]:
    return [FP32, PLAIN, INT8, DYNAMIC, *peers()]


def read() -> dict[str, dict[str, Any]]:
    files = {name: cell_file(name) for name in names()}
    return {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.is_file()}


def ratio_of(cell: Mapping[str, Any], batch: int) -> Speedup:
    """How many times faster Pare's INT8 is."""
    return Speedup(**cell["batches"][str(batch)]["ratio"])


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a graph; a ratio above 1 is slower than Pare's INT8."""
    head = ["tool", "recipe", "version", "accuracy", "points above FP32, 95 %"]
    for batch in BATCHES:
        head += [f"batch {batch}: p50 ms", "over Pare's INT8, 95 %"]
    head += ["MB", "multiplied in integers"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, cell in found.items():
        tool, _, recipe = name.partition("/")
        if "failed" in cell:
            lines.append(
                f"| {tool} | {recipe} | {cell['version']} | {cell['failed']} " + "|" * (len(head) - 3)
            )
            continue
        gap = cell["above_fp32"]
        row = [
            tool, recipe, cell["version"], f"{100 * cell['accuracy']:.2f}",
            f"{gap['mean']:+.2f} [{gap['low']:+.2f}, {gap['high']:+.2f}]",
        ]  # fmt: skip
        for batch in BATCHES:
            ratio = ratio_of(cell, batch)
            row.append(f"{cell['batches'][str(batch)]['p50_ms']:.2f}")
            row.append(f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
        integers = cell["batches"][str(BATCHES[0])]["integers"]
        row += [f"{cell['size_mb']:.1f}", f"{100 * integers:.0f} %"]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def claims(found: Mapping[str, Mapping[str, Any]]) -> list[Claim]:
    """Lower ends of intervals: what is certain. A peer whose answers are worse for certain is no rival."""
    ours = found.get(INT8)
    lost = None if ours is None else -float(ours["above_fp32"]["mean"])
    result = [Claim("points that Pare's INT8 loses to FP32", lost, 0.5)]
    ran = {name: cell for name, cell in found.items() if name in peers() and "failed" not in cell}
    rivals = {name: cell for name, cell in ran.items() if cell["above_pare"]["high"] >= 0}
    for batch in BATCHES:
        for name, cell in rivals.items():
            slower = 1 / ratio_of(cell, batch).high
            result.append(Claim(f"batch {batch}: latency of Pare's INT8 over {name}, at least", slower, 1.0))
    size = None
    if ours is not None and rivals:
        size = ours["size_mb"] / min(cell["size_mb"] for cell in rivals.values())
    result.append(Claim("size of Pare's INT8 over the smallest of the others", size, 1.01))
    best = max((cell["above_pare"]["low"] for cell in rivals.values()), default=None)
    result.append(Claim("points that any other is above Pare's INT8, at least", best, 0.0))
    for name in peers():
        if name not in found:
            result.append(Claim(f"{name}", None, 1.0))
    return result


def main() -> None:
    arguments = arguments_of(options(__doc__), "PARE_DATA", "PARE_MODELS")
    if arguments.quick:
        found = {} if arguments.report else measured("ort*", QUICK)
        report(table(found), claims(found), arguments.json)
        return
    if not arguments.report:
        for name, cell in measured(arguments.only, FULL).items():
            keep(cell_file(name), cell)
    found = read()
    write_page(PAGE, table(found), claims(found))
    report(table(found), claims(found), arguments.json)


if __name__ == "__main__":
    main()
