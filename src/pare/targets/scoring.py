"""What runs a checkpoint for scoring: graphs the target's runtime, networks PyTorch."""

from pare.answering import Run
from pare.checkpoint import Checkpoint
from pare.encoders.network import load
from pare.forwarding import network_run
from pare.targets.answers import graph_run
from pare.targets.hardware import Hardware


def runner(checkpoint: Checkpoint, hardware: Hardware, device: str = "cpu") -> Run:
    """device: of networks."""
    if checkpoint.format == hardware.runs:
        return graph_run(checkpoint, hardware)
    return network_run(load(checkpoint.path, checkpoint.outputs).to(device))
