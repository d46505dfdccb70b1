"""From files to graphs: nobody downstream sees ONNX."""
