"""The command line: one thin module a command, `main.py` joins them and prints what went wrong."""
