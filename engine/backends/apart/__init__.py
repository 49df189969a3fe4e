"""Models that compute step by step in Python, in a process of their own.

Each of their thousands of operations lets the interpreter's lock go and takes it again. In the process that also draws
pages, each would wait for a page's turn: an answer of 20 ms took 200 beside two threads at work.
"""
