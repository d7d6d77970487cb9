"""Parts of the vector environment: checked arguments, stacked infos, batched observations, memory check."""
