"""Training: epochs of batches, batches of shards, and one update after each batch."""
