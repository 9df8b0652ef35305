"""Every runtime that is installed, in every precision it has, on two encoders, and how near the peak each is.

    python benchmarks/runtimes.py [--quick] [--only 'minilm*'] [--json FILE]

Random weights in the shapes of MiniLM-L6 and BERT base, inputs full of real tokens. All arms of a cell are
timed in turn, a fresh process each; then each alone, one after the other, five times round, because the
machine's own speed changes within minutes. What hardware=auto takes is the quickest in turn, and is held
against the quickest alone. Share of peak: multiplications a second over the most that this machine does,
before or after, on one large matrix in that precision and with as many threads. A cell is kept in
benchmarks/cells/runtimes.*.json; delete it to measure again. --quick: MiniLM, one text, one thread.
--report: no timing.
"""

import os
import statistics
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from functools import cache, partial
from typing import Any

from running import ROOT, Claim, arguments_of, cell_of, options, report, store, write_page

from pare.checkpoint import Checkpoint
from pare.encoders.model import Architecture, Model
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.nncf import Nncf
from pare.stages.quantize import Quantize
from pare.stages.stage import Stage
from pare.store import Store
from pare.targets.conditions import Watch
from pare.targets.flops import flops_of
from pare.targets.hardware import Hardware
from pare.targets.measurement import Measure
from pare.targets.measuring import latencies_ms, least, peak_meter
from pare.tasks.slu import Slu
from pare.tasks.sources import Generated
from pare.training import Training

PAGE = ROOT / "docs" / "measuring.md"
TASK = Slu(name="car", max_length=128, source=Generated(train=300, dev=40, test=300, unlabelled=0))
ENCODERS = {
    "minilm": Architecture(layers=6, hidden=384, heads=12, ffn=1536, positions=128, vocabulary=1500),
    "bert_base": Architecture(layers=12, hidden=768, heads=12, ffn=3072, positions=128, vocabulary=1500),
}
SHAPES = {"b1x16": (1, 16), "b1x128": (1, 128), "b32x32": (32, 32)}
THREADS = (1, 2)
#: of one arm: the runtime, the precision, and the stages after fine-tuning
ARMS: dict[str, tuple[str, str, tuple[tuple[str, Stage], ...]]] = {
    "onnxruntime fused fp32": ("onnxruntime", "fp32", (("export", Export()),)),
    "onnxruntime plain fp32": ("onnxruntime", "fp32", (("export", Export(lowering="plain")),)),
    "openvino fp32": ("openvino", "fp32", (("export", Export(format="openvino", lowering="plain")),)),
    "torch fp32": ("torch", "fp32", (("export", Export(format="program")),)),
    "torch bf16": (
        "torch",
        "bf16",
        (("export", Export(format="program", precision="bf16", tolerance=0.25)),),
    ),
    "onnxruntime int8": ("onnxruntime", "int8", (("export", Export()), ("quantize", Quantize()))),
    "openvino int8": (
        "openvino",
        "int8",
        (("export", Export(format="openvino", lowering="plain")), ("nncf", Nncf())),
    ),
}
SETTINGS = Measure(launches=3, texts=64, peak=False)
ALONE = replace(SETTINGS, launches=2)
TURNS = 5


@cache
def graph_of(encoder: str, arm: str) -> Checkpoint:
    """Trained for one step: nobody asks what it says."""
    runtime, _, stages = ARMS[arm]
    train = Training(steps=1, batch_size=2, precision="fp32", threads=2)
    finetune = Finetune(model=Model(architecture=ENCODERS[encoder]), train=train)
    hardware = Hardware(name="here", runtime=runtime)  # type: ignore[arg-type]
    pipeline = Pipeline(Store(store()), TASK, 0, hardware, silent)
    return pipeline.execute(finetune, stages, lambda step: None).final


def full_texts(tokens: int) -> list[str]:
    """Texts that fill so many tokens: as many commands, one after another, as it takes."""
    commands = [str(text) for text in TASK.texts("test")]
    return ["，".join((commands * 2)[i : i + 2 + tokens // 2]) for i in range(SETTINGS.texts)]


def cells() -> Iterator[tuple[str, str, str, int]]:
    for encoder in ENCODERS:
        for shape in SHAPES:
            for threads in THREADS:
                yield f"{encoder}.{shape}.{threads}", encoder, shape, threads


def measured(encoder: str, shape: str, threads: int) -> dict[str, Any]:
    batch, length = SHAPES[shape]
    graphs = []
    for arm, (runtime, _, _) in ARMS.items():
        hardware = Hardware(
            name="here",
            runtime=runtime,  # type: ignore[arg-type]
            threads=threads,
            batch=batch,
            length=length,
            throughput_batches=(1,),
        )
        graphs.append((graph_of(encoder, arm), hardware))
    texts = full_texts(length)
    before = peaks_here(graphs[0][1])
    in_turn = latencies_ms(graphs, texts, SETTINGS, silent)
    turns = [[latencies_ms([graph], texts, ALONE, silent)[0] for graph in graphs] for _ in range(TURNS)]
    alone = [statistics.median(each) for each in zip(*turns, strict=True)]
    after = peaks_here(graphs[0][1])
    peaks = {name: max(before[name], after[name]) for name in before}
    flops = batch * flops_of(graphs[0][0].facts["shape"], length)
    arms = {}
    for arm, ms, by_itself in zip(ARMS, in_turn, alone, strict=True):
        most = peaks[ARMS[arm][1]]
        arms[arm] = {"ms": ms, "alone_ms": by_itself, "of_peak": flops / (ms / 1e3) / most if most else None}
    return {"flops": flops, "peaks": peaks, "arms": arms}


def peaks_here(hardware: Hardware) -> dict[str, float]:
    """Operations a second by precision; 0 where PyTorch multiplies nothing in it."""
    with peak_meter(hardware, True, Watch()) as peak:
        return {name: peak(name) or 0.0 for name in ("fp32", "bf16", "int8")}


def table(found: dict[str, Any]) -> str:
    rows = [
        "| encoder | batch x tokens | threads | " + " | ".join(ARMS) + " |",
        "|---|---|---|" + "---|" * len(ARMS),
    ]
    for name, encoder, shape, threads in cells():
        if name in found:
            arms = found[name]["arms"]
            best = min(arms, key=lambda arm: arms[arm]["ms"])
            told = []
            for arm in ARMS:
                share = arms[arm]["of_peak"]
                text = f"{arms[arm]['ms']:.2f} ms" + ("" if share is None else f", {100 * share:.0f} %")
                told.append(f"**{text}**" if arm == best else text)
            rows.append(f"| {encoder} | {shape[1:].replace('x', ' x ')} | {threads} | {' | '.join(told)} |")
    return "\n".join(rows) + "\n"


#: share of peak with two threads, BERT base at 1 x 128
GOALS = {"fp32": 0.75, "bf16": 0.60, "int8": 0.55}


def claims(found: dict[str, Any]) -> list[Claim]:
    slower = []
    for cell in found.values():
        times = [arm["ms"] for arm in cell["arms"].values()]
        alone = [arm["alone_ms"] for arm in cell["arms"].values()]
        slower.append(alone[least(times)] / min(alone))
    lines = [
        Claim(
            f"hardware=auto over the quickest alone, the worst of {len(slower)} cells",
            max(slower, default=None),
            1.05,
        )
    ]
    cell = found.get("bert_base.b1x128.2")
    for precision, goal in GOALS.items():
        shares = [
            arm["of_peak"]
            for name, arm in (cell["arms"] if cell else {}).items()
            if ARMS[name][1] == precision and arm["of_peak"]
        ]
        says = f"BERT base, 1 x 128, 2 threads, {precision}: the best share of peak"
        lines.append(Claim(says, max(shares, default=None), goal, True))
    return lines


def main() -> None:
    arguments = arguments_of(options(__doc__), "openvino", "nncf")
    found: dict[str, Any] = {}
    for name, encoder, shape, threads in cells():
        matches = fnmatch(name, "minilm.b1x16.1" if arguments.quick else arguments.only)
        wanted = matches and threads <= (os.cpu_count() or 1)
        one = cell_of(f"runtimes.{name}", arguments, wanted, partial(measured, encoder, shape, threads))
        if one is not None:
            found[name] = one
    lines = claims(found)
    if not arguments.quick:
        write_page(PAGE, table(found), lines, "runtimes")
    report(table(found), lines, arguments.json)


if __name__ == "__main__":
    main()
