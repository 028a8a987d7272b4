"""From sources of frames to records.

    sources/ -> reading -> intake -> pipeline (prepare, infer, judge, write) -> records, sinks/

    choices.py     the words that it is told by
    frames.py      what a source delivers, and what a source is
    reading.py     a thread for each source; leaves out what is not wanted
    intake.py      where frames wait, and what happens when they come too fast
    pipeline.py    the stages, on threads, with channels.py between them
    inspectors.py  the inspector in use, its restart, and its successor; opening.py opens them
    records.py     one JSON line a frame, and the folder of a run; record_file.py keeps the file,
                   resuming.py repairs it and reads it back
    judge.py       what parts are judged by, in names and hashes
    pictures.py    overlays, maps and crops, within a share of the disk
    notices.py     outages, swaps and the like; plain.py has values that they may hold
    outlets.py     all that is told beside the files: sinks/, view/, drift_watch.py for drift.py
    patience.py    how long to wait before what failed is tried again
    run.py         all of it as one run; summary.py counts

Every frame that a source delivered gets exactly one record, in the order of its stream.
"""
