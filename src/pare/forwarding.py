"""A network where a graph is expected: token ids and mask in, logits out."""

import numpy as np
import torch

from pare.answering import Run
from pare.encoders.network import Network


def network_run(network: Network) -> Run:
    """Runs a network where it is, in FP32."""

    def run(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        device = next(network.parameters()).device
        with torch.inference_mode():
            found = network(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
        return {name: value.float().cpu().numpy() for name, value in found.items()}

    return run
