"""Planning: what a chunk computes, decided before it is generated."""
