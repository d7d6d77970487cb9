"""Training of the freedoom world: autoencoder, dynamics, motion head, self-rollout refinement."""
