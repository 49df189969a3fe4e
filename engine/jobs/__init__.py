"""Long work: a process with a folder each."""
