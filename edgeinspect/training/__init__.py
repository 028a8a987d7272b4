"""From good pictures to a run folder: data, losses, the loop, checkpoints."""
