"""Agents that act in the environment, through its public interface only."""
