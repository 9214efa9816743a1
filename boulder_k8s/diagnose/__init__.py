"""Finds out what is wrong: the doctor looks at the machine, the bundle keeps everything about a run, cause.py names the
probable cause.
"""
