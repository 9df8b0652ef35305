"""Vocabulary pruning: embeddings of tokens that the task's texts do not use leave the network.

Abdaoui et al., 2020 (arXiv:2010.05609) did it for languages. The fast tokenizer is rewritten to match, see
`pare.tasks.vocabulary`, and read against the old one before anything is written.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tokenizers import Encoding, Tokenizer

from pare.checkpoint import TOKENIZER, Checkpoint, Format
from pare.decoding import Text
from pare.encoders.network import Network
from pare.errors import ModelError, StageFailed
from pare.stages.networks import open_network, open_text_encoder, write_network
from pare.stages.stage import Context, Stage
from pare.tasks.columns import Ragged
from pare.tasks.example import Encoded
from pare.tasks.text import TextEncoder, at_once
from pare.tasks.vocabulary import choose, rewrite, unknown_id


@dataclass(frozen=True, kw_only=True)
class Vocabulary(Stage):
    """Keeps the most frequent tokens of the task's training and unlabelled texts. Trains nothing.

    max_tokens: how many embeddings stay, special tokens included; None: all that the texts use.
    max_length: cuts position embeddings, and with them the longest text, to so many tokens.
    keep_characters: first of all keep what the texts can be spelled with.
    """

    max_tokens: int | None = None
    min_count: int = 1  # how often a token has to occur to stay
    max_length: int | None = None
    keep_characters: bool = True

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 8:
            raise ValueError(f"max_tokens={self.max_tokens}: must be at least 8")
        if self.min_count < 1:
            raise ValueError(f"min_count={self.min_count}: must be at least 1")
        if self.max_length is not None and self.max_length < 8:
            raise ValueError(f"max_length={self.max_length}: at least 8 tokens are needed")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source, task = inputs["model"], context.task
        if self.max_length is not None and self.max_length > source.max_length:
            raise ModelError(
                f"vocabulary.max_length={self.max_length}: the model reads {source.max_length} tokens; "
                "give at most that"
            )
        network, before = open_network(source), open_text_encoder(source)
        length = self.max_length or source.max_length
        whole = json.loads(before.tokenizer.to_str())
        texts = [*task.texts("train"), *task.texts("unlabelled")]
        readings = read(TextEncoder.load(source.path / TOKENIZER, length).tokenizer, texts)
        counts = Counter(i for reading in readings for i in reading)
        also = {*lower_ids(network), before.pad_id}  # a new student would take another token for padding
        kept = choose(whole, counts, self.max_tokens, self.min_count, self.keep_characters, also)
        after = TextEncoder(tokenizer_of(rewrite(whole, kept)), length)
        new = {old: i for i, old in enumerate(kept)}
        check_tokens(before.tokenizer, after.tokenizer, new)
        check_texts(source, after, texts, readings, new, unknown_id(whole))
        facts = {**source.facts, **shrink(network, new, self.max_length)}
        found = compare(context, before, after, new)
        shares = [f"{100 * found[when]['dev']:.2f} %" for when in ("unknown_before", "unknown_after")]
        told = ["unknown tokens on dev " + " → ".join(shares)]
        facts["found"] = {self.kind: {"told": told, **found}}
        write_network(context.output, network, after, facts)


def read(tokenizer: Tokenizer, texts: Sequence[Text]) -> Sequence[Sequence[int]]:
    """The token ids that decide how each text is read: also the rest of a word that is cut off."""
    readings = Ragged()
    for part in at_once(texts):
        for found in tokenizer.encode_batch(part):
            readings.add([*found.ids, *rest_of_word(found)])
    return readings


def rest_of_word(found: Encoding) -> list[int]:
    """Of the last word, or in a pair of the last word of each text."""
    last = {
        text: word for text, word in zip(found.sequence_ids, found.word_ids, strict=True) if word is not None
    }
    return [
        i
        for part in found.overflowing
        for i, text, word in zip(part.ids, part.sequence_ids, part.word_ids, strict=True)
        if word is not None and last.get(text) == word
    ]


def lower_ids(network: Network) -> range:
    """RoBERTa and its kin count positions from the padding id on, which therefore has to stay where it is."""
    positions = int(getattr(network.encoder.config, "max_position_embeddings", 0))
    return range(max(0, positions - network.family.longest_text(network.encoder)))


def tokenizer_of(content: Mapping[str, Any]) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(content, ensure_ascii=False))
    except Exception as e:  # the library raises nothing more precise
        raise StageFailed(f"vocabulary: the rewritten tokenizer does not load: {e}") from e


def check_tokens(before: Tokenizer, after: Tokenizer, new: Mapping[int, int]) -> None:
    """Every token that stays, the special ones too, has its new id and no other token has one."""
    for old, i in new.items():
        if after.id_to_token(i) != (token := before.id_to_token(old)):
            raise StageFailed(f"vocabulary: id {i} of the rewritten tokenizer should be {token!r}, id {old}")
    if after.get_vocab_size() != len(new):
        raise StageFailed(f"vocabulary: {after.get_vocab_size()} tokens are left, {len(new)} are wanted")


def check_texts(
    source: Checkpoint,
    after: TextEncoder,
    texts: Sequence[Text],
    readings: Sequence[Sequence[int]],
    new: Mapping[int, int],
    unknown: int | None,
) -> None:
    """Texts whose tokens all stay have the same tokens at the same places, and decode to the same.

    Not so where a word was unknown: WordPiece may find pieces for it once a longer one is gone.
    """
    whole = [
        text
        for text, reading in zip(texts, readings, strict=True)
        if unknown not in reading and all(i in new for i in reading)
    ]
    before = TextEncoder.load(source.path / TOKENIZER, after.max_length)
    for part in at_once(whole):
        pairs = list(zip(before.encode(part), after.encode(part), strict=True))
        said = before.tokenizer.decode_batch([one.ids for one, _ in pairs])
        says = after.tokenizer.decode_batch([other.ids for _, other in pairs])
        for text, pair, decoded, again in zip(part, pairs, said, says, strict=True):
            if not same(*pair, new) or decoded != again:
                raise StageFailed(f"vocabulary: the rewritten tokenizer reads {text!r} in another way")


def same(before: Encoded, after: Encoded, new: Mapping[int, int]) -> bool:
    return [new.get(i) for i in before.ids] == after.ids and before.offsets == after.offsets


def shrink(network: Network, new: Mapping[int, int], max_length: int | None) -> dict[str, Any]:
    """Takes the rows of other tokens, and of positions past `max_length`, out of the network."""
    encoder, family = network.encoder, network.family
    facts = {
        "tokens_before": int(encoder.config.vocab_size),
        "tokens_after": len(new),
        "positions_before": family.longest_text(encoder),
    }
    pad = encoder.config.pad_token_id
    if pad in lower_ids(network) and new.get(pad) != pad:
        raise StageFailed(
            f"vocabulary: the padding id {pad} would become {new.get(pad)}, but positions are counted "
            "from it; the tokenizer has no token for an id below it"
        )
    family.keep_tokens(encoder, list(new))
    if max_length is not None:
        family.cut_positions(encoder, max_length)
    return {**facts, "positions_after": family.longest_text(encoder)}


def compare(
    context: Context, before: TextEncoder, after: TextEncoder, new: Mapping[int, int]
) -> dict[str, dict[str, float]]:
    """Shares, by split: unknown tokens before and after, and texts that are read exactly as before."""
    found: dict[str, dict[str, float]] = {"unknown_before": {}, "unknown_after": {}, "texts_unchanged": {}}
    for split in ("train", "dev"):
        texts = context.task.texts(split)
        old, now = before.encode(texts), after.encode(texts)
        found["unknown_before"][split] = unknown_share(before.tokenizer, old)
        found["unknown_after"][split] = unknown_share(after.tokenizer, now)
        alike = sum(same(one, other, new) for one, other in zip(old, now, strict=True))
        found["texts_unchanged"][split] = alike / len(texts)
    return found


def unknown_share(tokenizer: Tokenizer, encoded: Sequence[Encoded]) -> float:
    """Of the tokens that stand for characters."""
    unknown = unknown_id(json.loads(tokenizer.to_str()))
    found = Counter(
        i for e in encoded for i, (start, end) in zip(e.ids, e.offsets, strict=True) if start < end
    )
    return found[unknown] / found.total() if found and unknown is not None else 0.0
