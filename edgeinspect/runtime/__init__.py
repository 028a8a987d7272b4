"""Running a bundle's graphs: one small protocol, one module a runtime, the inspector on top.

    session.py              what every runtime offers, and `open_session` that picks one
    onnxruntime_session.py  ONNX Runtime on a CPU (the default everywhere) and on CUDA
    regions.py              where an NG part's map is above its level
    inspector.py            pictures in, verdicts out

Only the adapters know a foreign API.
"""
