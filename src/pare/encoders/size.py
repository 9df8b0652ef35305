"""How large a model is, before anything of it is loaded."""

from functools import cache

import torch
from transformers import AutoConfig

from pare.checkpoint import RECORD, Checkpoint
from pare.encoders.model import Model
from pare.encoders.network import encoder_of


@cache
def parameters_of(model: Model) -> int | None:
    """Those of its encoder; None where that is not known before its weights are there."""
    folder = model.folder()
    if folder is not None and (folder / RECORD).is_file():  # of Pare's own, whose layers may be pruned
        return Checkpoint(folder, "").parameters
    if model.path is None:
        return None
    try:
        config = AutoConfig.from_pretrained(str(folder or model.path))
        with torch.device("meta"):  # shapes alone, which takes no memory
            encoder = encoder_of(config)
    except Exception:  # what a config may lack has no class in common; whoever loads the weights tells of it
        return None
    return sum(parameter.numel() for parameter in encoder.parameters())
