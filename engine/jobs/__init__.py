"""Long work as a job: a folder each, in a process of its own or a thread of the server; its files tell the truth."""
