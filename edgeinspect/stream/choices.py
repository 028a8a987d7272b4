"""The words that a run is told by: what is saved, what overload does, when disks are flushed.

They stand apart because the command line shows them in its help and imports nothing else for that.
"""

from __future__ import annotations

import enum

__all__ = ["Fsync", "Overload", "Save"]


class Save(str, enum.Enum):
    """For which parts pictures are saved."""

    NG = "ng"
    ALL = "all"
    NONE = "none"


class Overload(str, enum.Enum):
    """What happens to frames that come faster than they are judged."""

    BLOCK = "block"
    DROP_OLDEST = "drop-oldest"
    LATEST = "latest"


class Fsync(str, enum.Enum):
    """When records are brought to the disk, so that a power cut does not take them.

    `never` leaves it to the system: a kill of the process alone loses nothing even so.
    """

    NEVER = "never"
    BATCH = "batch"
    RECORD = "record"
