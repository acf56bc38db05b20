"""The parts of `recipes/benchmark.py`, one module a subject.

Each module has `PARTS`, the functions that run in a process of their own; `collect`, which runs them and returns their
results; and `section`, which writes the results as Markdown.
"""
