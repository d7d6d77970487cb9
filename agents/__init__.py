"""Agents that play in the environment through its public interface."""
