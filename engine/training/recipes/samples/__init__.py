"""How the built-in samples were made: templates with word lists, all of it written for this project."""
