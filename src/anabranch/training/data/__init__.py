"""From the user's data to batches on the device: kinds of sources, their order, checks, binding, placement."""
