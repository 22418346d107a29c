"""A training step on a CPU as one program: noted operation by operation while it is taken, then run without autograd."""
