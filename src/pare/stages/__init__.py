"""Stages: each turns a checkpoint into a checkpoint. One module per method."""
