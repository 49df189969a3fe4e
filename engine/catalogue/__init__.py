"""The known models, where their weights come from, and what is on this machine."""
