"""What a job starts from: a hub id, a local folder, or a small architecture trained from scratch."""

import json
import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pare.errors import ModelError
from pare.offline import offline_without_a_network
from pare.provenance import digest, file_digest

#: after so long no other change bears the same time: clocks of file systems tick in milliseconds, or seconds
SETTLED_NS = 3 * 10**9


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The shape of an encoder that starts with random weights.

    family: as transformers calls it: bert, roberta, distilbert, modernbert …
    ffn: neurons a layer; where a family gates them, there are as many gates besides.
    vocabulary_file: a vocab.txt (WordPiece) instead of a tokenizer trained on the task's text.
    """

    family: str = "bert"
    layers: int = 2
    hidden: int = 256
    heads: int = 4
    ffn: int = 1024
    positions: int = 64
    vocabulary: int = 2000  # pieces of a tokenizer made of the task's text; single characters come on top
    vocabulary_file: str | None = None
    dropout: float = 0.0
    init_std: float = 0.05  # small encoders start faster from larger weights than BERT's 0.02

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "ffn", "positions", "vocabulary"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.hidden % self.heads:
            raise ValueError(f"hidden={self.hidden} is not a multiple of heads={self.heads}")
        if self.init_std <= 0:
            raise ValueError(f"init_std={self.init_std}: must be above 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout}: must be in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Model:
    """`path` is a hub id or a folder. Without one, `architecture` is trained from scratch."""

    path: str | None = None
    architecture: Architecture | None = None

    def __post_init__(self) -> None:
        if self.path is None and self.architecture is None:
            raise ValueError("path: give a hub id or a folder, or an architecture to train from scratch")

    @property
    def name(self) -> str:
        if self.path is not None:
            return self.path
        assert self.architecture is not None
        a = self.architecture
        return f"{a.family}-{a.layers}L{a.hidden}H{a.heads}A"

    @property
    def longest(self) -> int | None:
        """How many tokens it reads at most; None where only its weights tell."""
        return None if self.path is not None or self.architecture is None else self.architecture.positions

    def folder(self) -> Path | None:
        """The local folder `path` means: itself, or of that name under PARE_MODELS; None for a hub id."""
        if self.path is None:
            return None
        given = Path(self.path).expanduser()
        if given.is_dir():
            return given
        shelf = os.environ.get("PARE_MODELS")
        if shelf:
            shelved = Path(shelf).expanduser() / given.name
            if shelved.is_dir():
                return shelved
        return None

    def weights_digest(self) -> str | None:
        """What identifies the weights themselves: other weights in the same folder, other digest."""
        if self.path is None:
            assert self.architecture is not None
            vocabulary = self.architecture.vocabulary_file
            return None if vocabulary is None else file_digest(Path(vocabulary).expanduser())
        folder = self.folder()
        if folder is None:
            from huggingface_hub import hf_hub_download

            return Path(hf_hub_download(self.path, "config.json")).parent.name  # the commit on the hub
        return digest({file.name: digest_of(file) for file in sorted(read_files(folder))})

    def check(self, setting: str) -> None:
        """Raises ModelError, naming the config key, if the weights or the tokenizer cannot be had."""
        from pare.encoders.tokenizer import check_tokenizer, check_vocabulary

        if self.path is None:
            assert self.architecture is not None
            vocabulary = self.architecture.vocabulary_file
            if vocabulary is not None:
                where = f"{setting}.architecture.vocabulary_file"
                check_vocabulary(Path(vocabulary).expanduser(), where)
            check_family(self.architecture.family, f"{setting}.architecture.family")
            return
        folder = self.folder()
        if folder is not None:
            if not (folder / "config.json").is_file():
                raise ModelError(
                    f"{setting}.path: {folder} has no config.json; a model folder holds config.json, "
                    "model.safetensors and tokenizer.json"
                )
            check_family(model_type_in(folder / "config.json", setting), f"{setting}.path")
            check_tokenizer(str(folder), f"{setting}.path")
            return
        if self.path.startswith((".", "/", "~")):
            raise ModelError(f"{setting}.path: no such folder: {self.path}")
        self._check_hub(setting)
        check_tokenizer(self.path, f"{setting}.path")

    def _check_hub(self, setting: str) -> None:
        from huggingface_hub import hf_hub_download

        assert self.path is not None
        offline_without_a_network()
        try:
            config = Path(hf_hub_download(self.path, "config.json"))
        except Exception as e:
            reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
            raise ModelError(
                f"{setting}.path: {self.path!r} could not be reached on the hub ({reason}); "
                f"without a network, set {setting}.path to a local folder with config.json, "
                "model.safetensors and tokenizer.json, or put that folder under $PARE_MODELS"
            ) from None
        check_family(model_type_in(config, setting), f"{setting}.path")


def digest_of(file: Path) -> str:
    """Of its content; a sweep asks for each of its keys, of gigabytes."""
    found = file.stat()
    if time.time_ns() - found.st_mtime_ns < SETTLED_NS:
        return file_digest(file)
    return _digest_at(file.absolute(), found.st_size, found.st_mtime_ns)


@cache
def _digest_at(file: Path, size: int, changed_ns: int) -> str:
    return file_digest(file)


def read_files(folder: Path) -> list[Path]:
    """The files of a model folder that are read: pickled weights only where there are no others."""
    found = [f for f in folder.iterdir() if f.suffix in (".json", ".safetensors", ".txt", ".model", ".bin")]
    safe = any(f.suffix == ".safetensors" for f in found)
    return [f for f in found if not (safe and f.suffix == ".bin")]


def model_type_in(config: Path, setting: str) -> str:
    try:
        return str(json.loads(config.read_text(encoding="utf-8"))["model_type"])
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{setting}.path: {config} names no model_type, and so no encoder family") from None


def check_family(model_type: str, setting: str) -> None:
    from pare.encoders.families import family_of  # which imports torch

    family_of(model_type, setting)
