"""The command line: one thin module a command, `main.py` joins them and prints what went wrong.

A command's function is as long as its options are many: typer reads them from its parameters.
"""
