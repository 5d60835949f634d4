"""TensorRT: the backend, and the child process that builds its engines."""
