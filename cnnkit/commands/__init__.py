"""The verbs of the `cnnkit` command, one per file, and what they share."""
