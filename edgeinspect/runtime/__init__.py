"""Running a bundle's graphs: one small protocol, one module a runtime, the inspector on top.

    session.py              what every runtime offers, and `open_session`
    opening.py              which runtime, graph and engine that is; the proof of a new engine
    proof.py                a session held to the bundle's golden images
    onnxruntime_graph.py    ONNX Runtime, opened on a CPU or on CUDA
    onnxruntime_session.py  sessions on its CPU (the default everywhere)
    onnxruntime_cuda.py     sessions on its CUDA
    openvino_session.py     sessions on OpenVINO's CPU
    graph_tensors.py        what goes into an ONNX graph of these, and comes out
    tensorrt.py             sessions on engines of TensorRT and TensorRT-RTX
    engine_io.py            an engine's inputs and outputs
    own_thread.py           a session on a thread of its own, which GPUs tie it to
    cuda.py                 the CUDA driver through cuda-python or PyCUDA
    signal_stack.py         the stack of signals, which a runtime took, given back to Python
    regions.py              where an NG part's map is above its level
    blank.py                whether a picture shows a part at all
    inspection.py           what is found out about a part: verdict, reason, scores, map
    inspector.py            pictures in, verdicts out

Only the adapters know a foreign API.
"""
