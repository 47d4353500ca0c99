"""Pages: what a run, a network at work or a dataset looks like, each one file to open anywhere."""
