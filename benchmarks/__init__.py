"""The same work side by side with PyTorch and JAX.  Each module is a command and writes its section of RESULTS.md."""
