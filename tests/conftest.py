"""Settings of all tests: properties run the same examples everywhere, however slow the machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("edgeinspect", deadline=None, derandomize=True)
settings.load_profile("edgeinspect")
