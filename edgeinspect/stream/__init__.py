"""From a source of frames to records: source -> decode -> inspector -> record, overlay.

    sources.py  a picture, a folder, a glob, a video: frames in order
    records.py  one JSON line a frame, and the folder that a run writes
    run.py      the loop between them

Every frame that a source delivered gets exactly one record, in order.
"""
