"""Fine-tuning: a config, data, and a child process with a folder. Serving never imports from here."""
