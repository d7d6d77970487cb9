"""Parts of the vector environment: stacked infos, batched observations, and how many worlds fit into memory."""
