"""Runs the model in this folder on texts. Needs what requirements.txt beside it lists, nothing else.

    python predict.py "one text" "another text"
    python predict.py < texts.txt

One line of JSON for each text. A model of pairs takes the two texts with a tab between them. Where only the
beginning of a text was read, since it is longer than the model takes, "truncated" is true.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np
from tokenizers import Tokenizer

IN_PARE = __name__.startswith("pare.")
if TYPE_CHECKING or IN_PARE:
    from pare.decoding import Text, decode, offsets_of, probabilities
    from pare.runtimes.session import Session, session_class_for
elif __package__:  # beside this file, in a bundle whose folder is imported from
    from .decoding import Text, decode, offsets_of, probabilities
else:
    from decoding import Text, decode, offsets_of, probabilities

BATCH = 32
One = TypeVar("One", str, Text)


class Predictor:
    """Texts to answers: a graph in its session, a tokenizer, and what bundle.json says about them."""

    def __init__(self, session: "Session", tokenizer: Path, about: Mapping[str, Any]) -> None:
        self.session, self.about = session, about
        self.has_places = any(output["scope"] == "token" for output in about["outputs"])
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(about["max_length"])

    @classmethod
    def load(cls, folder: str | Path, device: str | None = None, threads: int | None = None) -> "Predictor":
        """A bundle's, run as it was measured; or on another device, or with more threads."""
        folder = Path(folder)
        about = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        target = about["target"]
        options = target["options"] if device in (None, target["device"]) else {}
        where = (device or target["device"], threads or target["threads"], options)
        session = session_of(about["model"])(str(folder / about["model"]), *where)
        return cls(session, folder / about["tokenizer"], about)

    def predict(self, texts: Sequence[Text], with_probabilities: bool = False) -> list[dict[str, Any]]:
        """One answer for each text, or pair of texts, in order.

        `truncated` where only the beginning of a text was read. with_probabilities: and under `probabilities`
        those of the labels of whole texts.
        """
        if not texts:
            return []
        encoded = self.tokenizer.encode_batch(list(texts))
        rows = [e.ids for e in encoded]
        ids = np.full((len(rows), max(map(len, rows))), self.about["pad_id"], dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        values = self.session.run(ids, mask)
        answers = []
        for i, text in enumerate(texts):
            logits = {name: value[i] for name, value in values.items()}
            places = offsets_of(encoded[i], text) if self.has_places else ()
            answer = decode(self.about["outputs"], text, places, logits)
            if encoded[i].overflowing:
                answer["truncated"] = True
            if with_probabilities:
                answer["probabilities"] = probabilities(self.about["outputs"], logits)
            answers.append(answer)
        return answers


def session_of(model: str) -> type["Session"]:
    """The class that runs such a file. Imported late: its runtime may be missing."""
    if TYPE_CHECKING or IN_PARE:
        return session_class_for(model)
    elif __package__:
        from .session import Session
    else:
        from session import Session
    return Session


def loaded(folder: Path) -> Predictor:
    try:
        return Predictor.load(folder)
    except ModuleNotFoundError as e:
        needed = folder / "requirements.txt"
        raise SystemExit(f"error: {e.name} is not installed; pip install -r {needed}") from None
    except RuntimeError as e:
        raise SystemExit(f"error: {str(e).splitlines()[0]}") from None


def main(arguments: Sequence[str]) -> None:
    predictor = loaded(Path(__file__).parent)
    given = [in_utf8(os.fsencode(text)) for text in arguments] or lines(sys.stdin.buffer)
    try:
        answer(predictor, given)
    except BrokenPipeError:  # whoever reads has enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes at its end


def answer(predictor: Predictor, given: Iterable[str]) -> None:
    for batch in batches(given):
        texts = [pair_of(text) for text in batch] if predictor.about["pairs"] else batch
        for text, found in zip(texts, predictor.predict(texts), strict=True):
            said = json.dumps({"text": text, **found}, ensure_ascii=False)
            sys.stdout.buffer.write(f"{said}\n".encode())
        sys.stdout.buffer.flush()


def pair_of(line: str) -> tuple[str, str]:
    first, tab, second = line.partition("\t")
    if not tab:
        raise SystemExit(f"error: this model reads pairs, two texts with a tab between them; found {line!r}")
    return first, second


def in_utf8(text: bytes) -> str:
    """Whatever the terminal speaks; what is none is shown as such."""
    return text.decode("utf-8", errors="replace")


def lines(stream: BinaryIO) -> Iterator[str]:
    """Those that are not blank."""
    for line in stream:
        text = in_utf8(line).rstrip("\r\n")
        if text.strip():
            yield text


def batches(texts: Iterable[One]) -> Iterator[list[One]]:
    """A file of any length needs the memory of one batch."""
    source = iter(texts)
    while batch := list(islice(source, BATCH)):
        yield batch


if __name__ == "__main__":
    main(sys.argv[1:])
