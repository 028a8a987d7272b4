"""From a bundle to an engine for the box it stands on, proven before it is installed.

    request.py     what is asked for, and what that means on this machine: the engine's key
    compiling.py   the plan: parsed and built by TensorRT, while progress is told
    inspection.py  what the plan became: layers by type, fused attention
    proving.py     the engine against the bundle's golden outputs
    build.py       all of it in order, under the bundle's lock

Knows no torch, and runs in processes without it: both would bring their own CUDA libraries.
"""

from __future__ import annotations

from edgeinspect.building.build import Build, build_engine
from edgeinspect.building.request import BuildRequest

__all__ = ["Build", "BuildRequest", "build_engine"]
