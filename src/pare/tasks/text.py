"""From text to token ids and back to characters, with the fast tokenizer a checkpoint carries."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from pare.decoding import Text, offsets_of
from pare.tasks.columns import Tokens
from pare.tasks.example import Encoded

AT_ONCE = 8192  # texts that are encoded together; what the tokenizer makes of one takes kilobytes
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

T = TypeVar("T")


class TextEncoder:
    """A tokenizer with the length a checkpoint allows."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length)

    @classmethod
    def load(cls, file: Path, max_length: int) -> "TextEncoder":
        return cls(Tokenizer.from_file(str(file)), max_length)

    @property
    def pad_id(self) -> int:
        for token in ("[PAD]", "<pad>"):
            found = self.tokenizer.token_to_id(token)
            if found is not None:
                return int(found)
        return 0

    @property
    def separator_id(self) -> int | None:
        """The token that stands between the texts of a pair."""
        for token in ("[SEP]", "</s>"):
            found = self.tokenizer.token_to_id(token)
            if found is not None:
                return int(found)
        return None

    @property
    def vocabulary_size(self) -> int:
        return int(self.tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[Text], places: bool = True) -> Sequence[Encoded]:
        """places: whether it matters where tokens lie in the text; without, it is quicker."""
        found = Tokens()
        for part in at_once(texts):
            if places:
                for text, encoding in zip(part, self.tokenizer.encode_batch(part), strict=True):
                    found.add(encoding.ids, offsets_of(encoding, text))
            else:
                for encoding in self.tokenizer.encode_batch_fast(part):
                    found.add(encoding.ids)
        return found

    def count_cut(self, texts: Sequence[Text]) -> int:
        """How many are longer than it reads."""
        encodings = (e for part in at_once(texts) for e in self.tokenizer.encode_batch_fast(part))
        return sum(bool(encoding.overflowing) for encoding in encodings)


def at_once(texts: Sequence[T]) -> Iterator[list[T]]:
    """The texts in parts of `AT_ONCE`."""
    for start in range(0, len(texts), AT_ONCE):
        yield list(texts[start : start + AT_ONCE])


def train_wordpiece(texts: Sequence[str], size: int) -> Tokenizer:
    """A WordPiece tokenizer as BERT's: Chinese by character, everything else by sub-word.

    The library's WordPiece trainer numbers pieces in the order of a randomised hash map; its BPE trainer is
    deterministic. So BPE finds the pieces, and those that WordPiece then uses on `texts` are kept.

    size: how many pieces BPE finds, or as many as there are characters. There are more tokens than that: all
    characters are kept, alone and inside words (`##`), for other texts than these.
    """
    trained = _bert_like(models.BPE(unk_token="[UNK]"))
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    trained.train_from_iterator(texts, trainer)
    pieces = sorted(trained.get_vocab(), key=trained.get_vocab().__getitem__)[len(SPECIAL_TOKENS) :]
    candidates = [*SPECIAL_TOKENS, *pieces, *(f"##{piece}" for piece in pieces)]
    tokenizer = _wordpiece(candidates)
    used: set[str] = set()
    for part in at_once(texts):
        used.update(token for e in tokenizer.encode_batch(part) for token in e.tokens)
    kept = [t for t in candidates if t in SPECIAL_TOKENS or t in used or len(t.removeprefix("##")) == 1]
    return _wordpiece(kept)


def wordpiece_from(file: Path) -> Tokenizer:
    """BERT's tokenizer for a vocab.txt, a token a line."""
    return _wordpiece(lines_of(file.read_text(encoding="utf-8-sig")))


def lines_of(text: str) -> list[str]:
    """Ended by line feeds alone: str.splitlines() also ends them at U+2028, which is a token of BERT's."""
    return text.removesuffix("\n").split("\n")


def _wordpiece(vocabulary: Sequence[str]) -> Tokenizer:
    ids = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = _bert_like(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    return tokenizer


def _bert_like(model: models.Model) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer
