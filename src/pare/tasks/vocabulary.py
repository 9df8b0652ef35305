"""Which tokens of a fast tokenizer stay, and its tokenizer.json rewritten for them.

A text whose tokens all stay is read as before: WordPiece takes the longest piece, Unigram the likeliest
path, and BPE repeats the merges that made its tokens; leaving out what none of them chose changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tokenizers import pre_tokenizers

from pare.errors import StageFailed

Json = Mapping[str, Any]  # a tokenizer.json, or a part of it
Pair = tuple[str, str]


def token_ids(tokenizer: Json) -> dict[str, int]:
    """Every token, added ones too."""
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, list):  # Unigram: [token, score]
        vocabulary = {token: i for i, (token, _) in enumerate(vocabulary)}
    return {**vocabulary, **{added["content"]: added["id"] for added in tokenizer["added_tokens"]}}


def unknown_id(tokenizer: Json) -> int | None:
    model = tokenizer["model"]
    if "unk_id" in model:
        return None if model["unk_id"] is None else int(model["unk_id"])
    return token_ids(tokenizer).get(model.get("unk_token"))


def indispensable(tokenizer: Json) -> set[int]:
    """What stays whatever the texts: special tokens, bytes, and what the model of tokens hangs on."""
    ids, model = token_ids(tokenizer), tokenizer["model"]
    found = {int(added["id"]) for added in tokenizer["added_tokens"]}
    found |= set(numbers_of(tokenizer.get("post_processor")))
    if (unknown := unknown_id(tokenizer)) is not None:
        found.add(unknown)
    if model["type"] == "Unigram":
        # what an unknown character costs is reckoned from the least likely piece
        found.add(min(range(len(model["vocab"])), key=lambda i: model["vocab"][i][1]))
    if model.get("byte_fallback"):
        found |= {ids[byte] for byte in (f"<0x{i:02X}>" for i in range(256)) if byte in ids}
    if reads_bytes(tokenizer):
        found |= {ids[byte] for byte in pre_tokenizers.ByteLevel.alphabet() if byte in ids}
    return found


def reads_bytes(tokenizer: Json) -> bool:
    parts = [tokenizer.get("pre_tokenizer") or {}, tokenizer.get("normalizer") or {}]
    for part in parts:
        parts += [*part.get("pretokenizers", ()), *part.get("normalizers", ())]
    return any(part.get("type") == "ByteLevel" for part in parts)


def choose(
    tokenizer: Json,
    counts: Mapping[int, int],
    max_tokens: int | None,
    min_count: int,
    characters: bool,
    also: Collection[int] = (),
) -> list[int]:
    """The ids that stay, in their old order: the most frequent ones, each with what it is made from.

    characters: first those that removed tokens can be spelled with, so that words do not become unknown.
    also: ids that have to stay besides the indispensable ones.
    """
    ids = token_ids(tokenizer)
    tokens = {i: token for token, i in ids.items()}
    kept = indispensable(tokenizer) | (set(also) & tokens.keys())
    if max_tokens is not None and len(kept) > max_tokens:
        raise StageFailed(
            f"vocabulary.max_tokens={max_tokens}: {len(kept)} tokens have to stay "
            "(special tokens, and bytes where the tokenizer falls back on them)"
        )
    ordinary = {i: n for i, n in counts.items() if i not in kept}
    letters: Counter[int] = Counter()
    if characters:
        for i, n in ordinary.items():
            for letter in set(spelling(tokenizer["model"], tokens[i])) & ids.keys():
                letters[ids[letter]] += n
    parts_of = makers(tokenizer["model"])
    for ranking in (letters, ordinary):
        for i in sorted(ranking, key=lambda i: (-ranking[i], i)):
            needed = {i, *(ids[part] for part in parts_of(tokens[i]))} - kept
            if ranking[i] >= min_count and (max_tokens is None or len(kept) + len(needed) <= max_tokens):
                kept |= needed
    return sorted(kept)


def spelling(model: Json, token: str) -> list[str]:
    """The symbols of one character that stand for the token; for BPE, what its merges start from."""
    if model["type"] not in ("WordPiece", "BPE"):
        return list(token) if model["type"] == "Unigram" else []
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    inside = bool(prefix) and token.startswith(prefix) and len(token) > len(prefix)
    ends = bool(suffix) and token.endswith(suffix) and len(token) > len(suffix)
    bare = token.removeprefix(prefix if inside else "").removesuffix(suffix if ends else "")
    letters = [(prefix if inside or i else "") + letter for i, letter in enumerate(bare)]
    return [*letters[:-1], letters[-1] + (suffix if ends else "")] if letters else []


def makers(model: Json) -> Callable[[str], list[str]]:
    """A function from a token to the tokens without which it cannot be made; none but for BPE."""
    if model["type"] != "BPE":
        return lambda token: []
    ranks = {pair: rank for rank, pair in enumerate(map(pair_of, model["merges"]))}
    prefix = model.get("continuing_subword_prefix") or ""
    return lambda token: derivation(token, spelling(model, token), ranks, prefix)


def derivation(token: str, symbols: Sequence[str], ranks: Mapping[Pair, int], prefix: str) -> list[str]:
    """Every token on the way from `symbols` to `token`; none if merging does not lead there."""
    parts, made = list(symbols), list(symbols)
    while len(parts) > 1:
        rank, i = min((ranks.get(pair, len(ranks)), i) for i, pair in enumerate(pairwise(parts)))
        if rank == len(ranks):
            break
        parts[i : i + 2] = [parts[i] + parts[i + 1].removeprefix(prefix)]
        made.append(parts[i])
    return made if parts == [token] else []


def pair_of(merge: str | Sequence[str]) -> Pair:
    """Older files write a merge as `left right`."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def rewrite(tokenizer: Json, kept: Sequence[int]) -> dict[str, Any]:
    """The tokenizer.json in which the token of id kept[i] has the id i, and no other is left."""
    new = {old: i for i, old in enumerate(kept)}
    model = dict(tokenizer["model"])
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][i] for i in kept if i < len(model["vocab"])]
        model["unk_id"] = None if model["unk_id"] is None else new[model["unk_id"]]
    else:
        left = ((token, new[i]) for token, i in model["vocab"].items() if i in new)
        model["vocab"] = dict(sorted(left, key=lambda entry: entry[1]))
    if model["type"] == "BPE":
        model["merges"] = list(possible(model["merges"], model))
    padding = tokenizer.get("padding")
    return {
        **tokenizer,
        "model": model,
        "added_tokens": [{**added, "id": new[added["id"]]} for added in tokenizer["added_tokens"]],
        "post_processor": renumbered(tokenizer.get("post_processor"), new),
        "padding": padding and {**padding, "pad_id": new.get(padding["pad_id"], 0)},
    }


def possible(merges: Iterable[Any], model: Json) -> Iterable[Any]:
    """Merges whose parts and whose result are in the vocabulary."""
    prefix = model.get("continuing_subword_prefix") or ""
    for merge in merges:
        left, right = pair_of(merge)
        if {left, right, left + right.removeprefix(prefix)} <= model["vocab"].keys():
            yield merge


def numbers_of(processor: Json | None) -> list[int]:
    """The token ids that a post-processor writes around a text."""
    if processor is None:
        return []
    if processor["type"] == "Sequence":
        return [i for part in processor["processors"] for i in numbers_of(part)]
    if processor["type"] == "TemplateProcessing":
        return [i for special in processor["special_tokens"].values() for i in special["ids"]]
    return [processor[name][1] for name in ("sep", "cls") if name in processor]


def renumbered(processor: Json | None, new: Mapping[int, int]) -> Json | None:
    """A post-processor with new ids: Bert's, RoBERTa's, templates, and sequences of them."""
    if processor is None:
        return None
    if processor["type"] == "Sequence":
        return {**processor, "processors": [renumbered(part, new) for part in processor["processors"]]}
    if processor["type"] == "TemplateProcessing":
        specials = {
            name: {**special, "ids": [new[i] for i in special["ids"]]}
            for name, special in processor["special_tokens"].items()
        }
        return {**processor, "special_tokens": specials}
    pairs = {name: processor[name] for name in ("sep", "cls") if name in processor}
    return {**processor, **{name: [token, new[i]] for name, (token, i) in pairs.items()}}
