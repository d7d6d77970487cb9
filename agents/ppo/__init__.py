"""PPO on macro actions, with imitation of a teacher before it."""
