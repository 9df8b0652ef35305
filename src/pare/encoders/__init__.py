"""Encoders: what to start from, where each family keeps its heads and neurons, and heads for a task."""
