"""The house stays as ARCHITECTURE.md draws it: imports only go down, and few see Hydra or wandb."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

#: lowest first; a module may import from its own room or from rooms further up in this list
ROOMS = (
    ("errors", "metrics", "ondemand", "offline", "printing"),
    ("files", "comparing", "judging", "machine", "nursery", "stopping"),
    ("provenance", "progress", "outputs", "decoding", "feeding"),
    ("artifact",),
    ("store", "checkpoint"),
    ("encoders", "tasks", "losses", "parallel", "resuming", "batches", "runtimes", "thresholds"),
    ("lowering", "training", "answering", "bundled"),
    ("fitting", "teacher", "importance", "forwarding"),
    ("distillation", "pruning", "reconstruction"),
    ("stages", "targets", "aims"),
    ("strategy", "build", "steps", "effort", "sweep"),
    ("ways",),
    ("cached",),
    ("pipeline",),
    ("auto",),
    ("choosing",),
    ("result", "rows", "evaluation", "labelled"),
    ("report", "bundle", "study", "tracking", "composition"),
    ("config", "moving", "status"),
    ("experiment", "evaluating"),
    ("sweeps",),
    ("searching",),
    ("entry", "cli"),
)
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
MODULES = sorted(path for path in (SOURCE / "pare").rglob("*.py") if path.name != "__init__.py")


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE / "pare").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    room = room_of(path)
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "pare" or len(parts) < 2 or parts[1] not in RANK:
            continue
        if parts[1] == room:
            continue
        assert RANK[parts[1]] < RANK[room] or (room, parts[1]) in ALLOWED, f"{room} imports {name}"


#: within one level, where the one is plainly the tool of the other
ALLOWED = {
    ("artifact", "store"),
    ("study", "report"),
    ("tracking", "study"),
    ("sweeps", "study"),
}


def test_stages_never_import_each_other() -> None:
    for path in (SOURCE / "pare" / "stages").glob("*.py"):
        others = {name for name in imports_of(path) if name.startswith("pare.stages.")}
        shared = {n for n in others if n.split(".")[2] in ("stage", "networks", "graphs")}
        assert others == shared, f"{path.name} imports {others - shared}"


def test_only_the_outermost_rooms_see_hydra() -> None:
    seen = {
        room_of(p) for p in MODULES for name in imports_of(p) if name.split(".")[0] in ("hydra", "omegaconf")
    }
    assert seen == {"composition", "moving", "entry", "sweeps", "searching"}


@pytest.mark.parametrize("library", ["wandb", "mlflow"])
def test_only_tracking_imports_trackers(library: str) -> None:
    seen = {room_of(p) for p in MODULES if any(name.split(".")[0] == library for name in imports_of(p))}
    assert seen == {"tracking"}


def test_only_the_trials_of_a_search_import_optuna() -> None:
    seen = {p.name for p in MODULES if any(name.split(".")[0] == "optuna" for name in imports_of(p))}
    assert seen == {"trials.py"}


def test_the_command_line_is_parsed_without_torch() -> None:
    code = "import sys, pare.entry, hydra_plugins.pare_launcher; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


#: what runs code that it is given, or that is in the file it opens
UNSAFE = {
    "eval",
    "exec",
    "torch.load",
    "torch.export.load",
    "torch.jit.load",
    "torch.hub.load",
    "shelve.open",
}
UNSAFE |= {
    f"{m}.{n}" for m in ("pickle", "marshal", "dill", "cloudpickle", "joblib") for n in ("load", "loads")
}
UNSAFE |= {"pickle.Unpickler"}
#: what settings of others have to be, where they are given
SAFE = {"trust_remote_code": False, "weights_only": True, "allow_pickle": False}


def risks(source: str) -> set[str]:
    """What in a module could run code out of a file, or of a hub."""
    tree = ast.parse(source)
    known: dict[str, str] = {}  # what names of the module stand for
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            first, dot, rest = ast.unparse(node).partition(".")
            found |= UNSAFE & {known.get(first, first) + dot + rest}
        given: list[tuple[object, ast.expr]] = []
        if isinstance(node, ast.keyword):
            given = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            given = list(zip(keys, node.values, strict=True))
        for name, value in given:
            if name in SAFE and not (isinstance(value, ast.Constant) and value.value is SAFE[str(name)]):
                found.add(str(name))
    return found


@pytest.mark.parametrize(
    "path", [*sorted(SOURCE.rglob("*.py")), SOURCE.parent / "run.py"], ids=lambda path: path.name
)
def test_nothing_opens_what_could_run_code(path: Path) -> None:
    """A process that composes jobs unpickles what it pickled itself; nobody else unpickles anything."""
    own = {"pickle.loads"} if path.name == "composing.py" else set()
    assert risks(path.read_text(encoding="utf-8")) == own


@pytest.mark.parametrize(
    ("source", "risk"),
    [
        ("import pickle\npickle.load(file)", "pickle.load"),
        ("import pickle as p\nread = p.loads", "pickle.loads"),
        ("from pickle import Unpickler as Reader\nReader(file)", "pickle.Unpickler"),
        ("import torch\ntorch.load(file)", "torch.load"),
        ("from torch.export import load\nload(file)", "torch.export.load"),
        ("AutoModel.from_pretrained(path, trust_remote_code=True)", "trust_remote_code"),
        ("told = {'weights_only': False}", "weights_only"),
        ("np.load(file, allow_pickle=given)", "allow_pickle"),
        ("value = eval(text)", "eval"),
        ("network.eval()\ntorch.compile(network)\ncompile = 1\nfrom pickle import UnpicklingError", None),
    ],
)
def test_what_could_run_code_is_seen(source: str, risk: str | None) -> None:
    assert risks(source) == ({risk} if risk else set())
