"""Work on a file as a job that asks the serving engine: a thread of the server, which lets everybody else go first.

What was made of each piece of the file is on the disk before the next is asked for: a stop or a restart loses nothing
that was finished, and does nothing twice.
"""
