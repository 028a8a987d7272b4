"""`python -m edgeinspect`: the command line where its script is not on the path."""

from __future__ import annotations

from edgeinspect.cli.main import main

main()
