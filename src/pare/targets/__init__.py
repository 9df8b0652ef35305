"""Targets: where a model must run, running it there, and measuring it."""
