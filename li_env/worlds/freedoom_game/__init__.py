"""The real game behind the contract of a world."""
