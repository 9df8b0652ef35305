"""The tokenizer that comes with an encoder, and whether it can be had."""

from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from pare.checkpoint import TOKENIZER
from pare.errors import ModelError
from pare.files import text_of

NEEDED = ("[UNK]", "[CLS]", "[SEP]")  # of a vocab.txt


def pretrained_tokenizer(source: str, setting: str = "model.path") -> Tokenizer:
    """The tokenizer.json of a folder as it is; else what transformers makes of a hub id or folder.

    setting: the config key that led here, for messages.
    """
    file = Path(source) / TOKENIZER
    try:
        if file.is_file():
            return Tokenizer.from_file(str(file))
        from transformers import AutoTokenizer

        fast = AutoTokenizer.from_pretrained(source)
    except Exception as e:  # neither library raises anything more precise
        reason = (str(e).strip() or type(e).__name__).splitlines()[0]
        opened = file if file.is_file() else source
        raise ModelError(f"{setting}: no tokenizer can be made of {opened} ({reason})") from None
    if not fast.is_fast:
        raise ModelError(f"{setting}: {source} has no fast tokenizer (tokenizer.json)")
    found = fast.backend_tokenizer
    if set(found.get_vocab()) <= set(fast.all_special_tokens):  # transformers' own, where there is no file
        raise ModelError(f"{setting}: {source} has neither a tokenizer.json nor a vocabulary")
    return found


@cache
def check_tokenizer(source: str, setting: str) -> None:
    """Opens it, which takes a second where it is large; a sweep asks for each of its stages."""
    pretrained_tokenizer(source, setting)


def check_vocabulary(file: Path, setting: str) -> None:
    """That of a new model: a vocab.txt."""
    tokens = set(text_of(file, setting, ModelError).split("\n"))
    if missing := [token for token in NEEDED if token not in tokens]:
        raise ModelError(
            f"{setting}: {file} lacks {', '.join(missing)}; a WordPiece vocabulary is needed, a token a line"
        )
