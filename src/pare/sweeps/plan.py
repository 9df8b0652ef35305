"""What all jobs of a sweep need, as one graph: equal stages once, whichever job asked for them.

A node is a strategy up to one of its stages, or what is left of a job once all stages are done. Before
anything has run nobody knows the digests that keys in the store are made of, so nodes are named by the nodes
they come from; where the store already holds what those make, the true keys follow.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pare.cached import Cached, is_decided_by_measuring
from pare.checkpoint import Format
from pare.config import Job
from pare.effort import measuring_effort, score_effort, stage_effort
from pare.progress import silent
from pare.provenance import digest
from pare.stages.stage import Stage
from pare.store import Store
from pare.strategy import BASELINE, Strategy, emulated
from pare.sweeps.hopeless import judged_in
from pare.targets.hardware import Hardware
from pare.targets.measurement import Measure
from pare.tasks.task import Split

Kind = Literal["stage", "answers", "result"]


@dataclass(frozen=True)
class Node:
    """One piece of work, carried out by a process of its own. alone: it times something.

    stage: the first `upto` stages of the strategy, of which all but the last are in the store by then.
    answers: what the baseline may be, and what the strategy made answers on test. result: measuring, what the
    baseline answers, and what a job writes. efforts: of what is done in it, see `pare.effort`.
    """

    id: str
    kind: Kind
    name: str
    stage: str  # its kind; empty where there is none
    job: int  # whose config says how: of those that need it one that may do without, or else the first
    way: int
    upto: int
    after: tuple[str, ...]
    efforts: tuple[str | None, ...]
    alone: bool = False
    stored: bool = False

    @property
    def what(self) -> str:
        return self.name if self.kind == "stage" else self.kind


def id_of(value: object) -> str:
    return digest(value)[:16]


@dataclass(frozen=True)
class Plan:
    """nodes: by id, each after those it needs. needs: of each job all of its nodes, its result last."""

    nodes: Mapping[str, Node]
    needs: Sequence[Sequence[str]]

    def wanted(self) -> dict[str, int]:
        """How many jobs each node is for."""
        return Counter(node for needed in self.needs for node in dict.fromkeys(needed))

    def dependants(self, node: str) -> set[str]:
        """All that cannot be had without it."""
        found = {node}
        for other in self.nodes.values():  # in order: whoever comes after is seen later
            if found.intersection(other.after):
                found.add(other.id)
        return found - {node}


def plan_of(jobs: Sequence[Job], store: Store) -> Plan:
    nodes: dict[str, Node] = {}
    needs = []
    keys: dict[object, tuple[Stage, str]] = {}
    scored: set[object] = set()  # baselines
    for number, job in enumerate(jobs):
        mine: list[Node] = []
        ends: list[Node] = []
        efforts: list[str | None] = []
        known = known_ways(job)
        for way, (hardware, strategy) in enumerate(known):
            pipeline = Cached(store, job.task, job.seed, hardware, silent, job.device)
            chain = _Chain(number, way, pipeline, keys)
            mine += chain.stages([(BASELINE, job.finetune), *strategy], judged_in(job, strategy))
            answers = chain.answers(strategy)
            if job.auto is None:  # which scores only what it takes
                mine.append(answers)
            ends.append(mine[-1])
            if strategy or len(known) == 1:  # what is not tried is not measured
                efforts.append(chain.measuring(job.measure))
        # what is measured on another machine nobody can look up before it is there
        stored = not (chooses(job) or job.engine.elsewhere) and chain.measured(job.measure)
        if job.auto is not None:
            efforts += answers.efforts
        result = Node(
            id=f"job{number}",
            kind="result",
            name=job.name,
            stage="",
            job=number,
            way=0,
            upto=0,
            after=tuple(end.id for end in ends),  # one for each way
            efforts=(*(() if stored else efforts), *chain.baseline(scored)),
            alone=not stored,
        )
        for node in (*mine, result):
            if node.id not in nodes or chooses(job):
                nodes[node.id] = node
        needs.append([node.id for node in (*mine, result)])
    return Plan(nodes, needs)


def known_ways(job: Job) -> list[tuple[Hardware, Strategy]]:
    """Its ways as far as it is known that they will be gone: with a budget the first may be enough.

    Without one, what can only be slower is not tried, and its way ends where it begins.
    """
    if job.auto is None:
        return [(way.hardware, way.strategy) for way in job.ways]
    if job.auto.has_budget:
        return [(job.hardware, ())]
    return [(way.hardware, () if emulated(way.strategy, way.hardware) else way.strategy) for way in job.ways]


def chooses(job: Job) -> bool:
    """Whether it may end well though one of its ways does not."""
    return job.auto is not None or len(job.ways) > 1


def may_lead_elsewhere(stage: Stage) -> bool:
    """Whether what comes next may start from something else than what the stage makes."""
    return stage.gate is not None and stage.gate.on_fail in ("skip", "escalate")


@dataclass(frozen=True)
class _Made:
    """A checkpoint that will be: the node that makes it, and its digest where the store has it.

    Nobody knows it where a gate has yet to decide what it is: what is timed would be thought done.
    """

    node: str
    digest: str | None
    format: Format
    effort: str | None


class _Chain:
    """The nodes of one strategy on one target.

    keys: of stages and inputs, for all jobs, by the stage's id, which is its own as long as it is held.
    """

    def __init__(self, job: int, way: int, pipeline: Cached, keys: dict[object, tuple[Stage, str]]) -> None:
        self.job, self.way, self.pipeline, self.keys = job, way, pipeline, keys
        self.made: list[_Made] = []
        self.graphs: list[str | None] = []
        self.graph_effort: str | None = None
        #: what the way so far depends on besides the stages: gates judge scores of one engine
        self.decided: list[object] = []

    def stages(self, strategy: Strategy, judged: Collection[str]) -> list[Node]:
        """judged: which of them may end a search's trial."""
        return [self.stage(name, stage, upto, name in judged) for upto, (name, stage) in enumerate(strategy)]

    def stage(self, name: str, stage: Stage, upto: int, judged: bool) -> Node:
        measures = is_decided_by_measuring(stage)
        if judged:  # another trial may recover what this one cannot
            self.decided.append("judged")
        if stage.gate is not None or measures:
            hardware = self.pipeline.hardware
            engine = hardware.engine if stage.produces == hardware.runs else "torch"
            self.decided.append([stage.gate, stage.escalation, engine, hardware if measures else None])
        inputs = {"model": self.made[-1], "baseline": self.made[0]} if self.made else {}
        before = {role: inputs[role] for role in stage.roles()}
        found = self.find(stage, before)
        effort = stage_effort(stage, self.pipeline.task, {role: made.effort for role, made in before.items()})
        node = Node(
            id=id_of([self.key(stage, {role: made.node for role, made in before.items()}), self.decided]),
            kind="stage",
            name=name,
            stage=stage.kind,
            job=self.job,
            way=self.way,
            upto=upto,
            after=(self.made[-1].node,) if self.made else (),
            efforts=(effort, *self.scoring(effort, stage.produces, "dev")),
            alone=measures,
            stored=found is not None,
        )
        known = None if may_lead_elsewhere(stage) else found
        self.made.append(_Made(node.id, known, stage.produces, effort))
        return node

    def scoring(self, made: str | None, format_: Format, split: Split) -> tuple[str | None, ...]:
        """Its effort; nobody scores a cohort. made: the effort of what is scored."""
        pipeline = self.pipeline
        found = score_effort(made, format_, pipeline.task, split, pipeline.hardware)
        return () if format_ == "cohort" else (found,)

    def find(self, stage: Stage, before: Mapping[str, _Made]) -> str | None:
        """The digest of what the stage made, if it did already."""
        digests = {role: made.digest for role, made in before.items()}
        known = {role: found for role, found in digests.items() if found is not None}
        if len(known) < len(digests) or is_decided_by_measuring(stage):
            return None
        entry = self.pipeline.store.peek(self.key(stage, known))
        return None if entry is None else entry.digest

    def key(self, stage: Stage, inputs: Mapping[str, str]) -> str:
        place = (id(stage), id(self.pipeline.task), self.pipeline.seed, *sorted(inputs.items()))
        if place not in self.keys:
            self.keys[place] = (stage, self.pipeline.key(stage, inputs))
        return self.keys[place][1]

    def answers(self, strategy: Strategy) -> Node:
        start, last, pipeline = self.made[0], self.made[-1], self.pipeline
        exports = pipeline.baseline_exports(strategy)
        self.graphs = [self.find(export, {"model": start}) for export in exports]
        self.graph_effort = stage_effort(exports[0], pipeline.task, {"model": start.effort})
        return Node(
            id=id_of(
                [
                    last.node,
                    [self.key(export, {"model": start.node}) for export in exports],
                    pipeline.hardware.device,
                    pipeline.hardware.engine,
                ]
            ),
            kind="answers",
            name="answers",
            stage="",
            job=self.job,
            way=self.way,
            upto=len(strategy),
            after=(last.node,),
            efforts=self.scoring(last.effort, last.format, "test"),
            stored=None not in self.graphs
            and last.digest is not None
            and pipeline.scored(last.digest, last.format, "test"),
        )

    def measuring(self, settings: Measure) -> str | None:
        """Its effort."""
        return measuring_effort(self.made[-1].effort, self.pipeline.hardware, settings)

    def baseline(self, scored: set[object]) -> tuple[str | None, ...]:
        """The effort of scoring what results are compared with, for the first job that needs it.

        scored: by jobs before this one.
        """
        hardware = self.pipeline.hardware
        what = (self.made[0].node, hardware.device, hardware.engine, hardware.threads)
        known = [graph for graph in self.graphs if graph is not None]
        if what in scored or any(self.pipeline.scored(graph, hardware.runs, "test") for graph in known):
            return ()
        scored.add(what)
        return self.scoring(self.graph_effort, hardware.runs, "test")

    def measured(self, settings: Measure) -> bool:
        """Whether nothing is left to measure."""
        found = [self.made[-1].digest, *self.graphs]
        known = [one for one in found if one is not None]
        return len(known) == len(found) and self.pipeline.has_measured(known[0], known[1:], settings)
