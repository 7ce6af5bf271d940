"""The mathematics: pure functions in pairs, f and f_backward.  Start reading here, with gaussian.py."""
