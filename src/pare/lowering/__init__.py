"""From a network to a graph that a runtime runs fast."""
