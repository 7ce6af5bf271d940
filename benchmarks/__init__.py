"""What numpyvae measures of itself.  Each module is a command, `python -m benchmarks.NAME`, that rewrites its own
section of RESULTS.md."""
