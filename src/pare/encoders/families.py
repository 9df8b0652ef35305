"""The encoder families there are. Nothing else in the code knows a family.

To add one, write a subclass of `Family` in a module of its own, beside `bert` and `modernbert`, and list it
here.
"""

from pare.encoders.bert import BertFamily, DistilBertFamily
from pare.encoders.family import Family
from pare.encoders.modernbert import ModernBertFamily
from pare.errors import ModelError

FAMILIES: tuple[Family, ...] = (BertFamily(), DistilBertFamily(), ModernBertFamily())


def options_of(model_type: str) -> dict[str, bool]:
    """What the encoder's class is told when it is made."""
    return {"add_pooling_layer": False} if model_type in family_of(model_type).with_pooler else {}


def family_of(model_type: str, setting: str = "model") -> Family:
    """setting: the config key that asked for it."""
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = sorted(t for family in FAMILIES for t in family.model_types)
    raise ModelError(
        f"{setting}: no adapter for the encoder family {model_type!r} (there are {', '.join(known)}); "
        "write one and list it in src/pare/encoders/families.py"
    )
