"""The network as ONNX graphs of standard operators (opset 24), made from its weights."""
