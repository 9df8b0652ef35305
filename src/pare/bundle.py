"""The folder you deploy: graph, tokenizer, labels, and a script; needs no Pare, PyTorch only for programs."""

import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pare import decoding, feeding
from pare.bundled import predict, serve
from pare.checkpoint import TOKENIZER, Checkpoint
from pare.evaluation import Evaluation, files_of
from pare.files import beside, remove_whole, write_json
from pare.provenance import versions
from pare.runtimes.session import PACKAGES, RUNTIMES, Runtime, module_file
from pare.targets import tensorrt
from pare.targets.hardware import Hardware

RECORD = "bundle.json"
SCHEMA = "pare/bundle@1"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What there is in a bundle besides what it takes to predict.

    evaluation: what `pare evaluate` needs elsewhere: the texts and labels of test, and the baseline's graphs.
    """

    evaluation: bool = True


def write_bundle(
    folder: Path,
    checkpoint: Checkpoint,
    pairs: bool,
    about: Mapping[str, Any],
    target: Hardware,
    evaluation: Evaluation | None = None,
) -> None:
    """Fills `folder`, all at once or not at all.

    pairs: whether it reads pairs of texts. about: how it was made and what it scored. target: where it runs.
    """
    with replacing(folder) as unfinished:
        for name in files_of(checkpoint):
            shutil.copyfile(checkpoint.path / name, unfinished / name)
        for module in (predict, serve, decoding, feeding):
            source = Path(str(module.__file__))
            shutil.copyfile(source, unfinished / source.name)
        runtime = RUNTIMES[checkpoint.format]
        shutil.copyfile(module_file(runtime), unfinished / "session.py")
        needs = needed(runtime, target)
        write_json(
            unfinished / RECORD,
            {
                "schema": SCHEMA,
                "model": checkpoint.model_file.name,
                "tokenizer": TOKENIZER,
                "max_length": checkpoint.max_length,
                "pad_id": checkpoint.pad_id,
                "pairs": pairs,
                "outputs": [asdict(output) for output in checkpoint.outputs],
                "target": target.deployment(checkpoint),
                "requires": needs,
                **about,
            },
        )
        (unfinished / "requirements.txt").write_text(
            "".join(f"{name}=={version}\n" if version else f"{name}\n" for name, version in needs.items()),
            encoding="utf-8",
        )
        if evaluation is not None:
            evaluation.write(unfinished)


def remove_bundle(folder: Path, unless: str) -> None:
    """The bundle in `folder`, if a job left it there whose key is another; whole until it is gone."""
    try:
        key = json.loads((folder / RECORD).read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, LookupError, TypeError):  # none of ours
        return
    if key != unless:
        remove_whole(folder)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` at the end; another process may do the same."""
    with beside(folder) as unfinished:
        yield unfinished
        while unfinished.exists():
            try:
                remove_whole(folder)
                unfinished.rename(folder)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another was sooner
                    raise


def needed(runtime: Runtime, target: Hardware) -> dict[str, str | None]:
    """The packages that a bundle needs there, as pip calls them, and the versions that are here.

    ONNX Runtime's builds for CPUs and for GPUs are two packages of one version, which must not be together.
    """
    others = ("tokenizers", "numpy", *(("nvidia-ml-py",) if target.device == "cuda" else ()))
    found = versions((*PACKAGES[runtime], *tensorrt.PACKAGES, *others))
    # 2.13.0+cpu is a build, which no index of packages has by that name
    here = {name: version.partition("+")[0] for name, version in found.items() if version}
    name = PACKAGES[runtime][-1]
    if runtime == "onnxruntime" and target.device == "cuda":
        name = "onnxruntime-gpu[cuda,cudnn]"
    packages = {name: next((here[name] for name in PACKAGES[runtime] if name in here), None)}
    if target.standard_operators:
        name = next((name for name in tensorrt.PACKAGES if name in here), tensorrt.PACKAGES[0])
        packages[name] = here.get(name, tensorrt.VERSIONS)
    return packages | {name: here.get(name) for name in others}
