"""From Python: train in one call, and see what came of it, at a prompt or in a notebook."""
