"""Pare a fine-tuned encoder down to the Pareto front of the hardware it must run on."""

__version__ = "0.1.0"
