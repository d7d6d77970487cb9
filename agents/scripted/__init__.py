"""Agents that learn nothing: heuristics, the shortest path, planning by trial."""
