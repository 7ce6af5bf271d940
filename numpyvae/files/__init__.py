"""What comes from outside: nothing in a file is run, and none gets more memory than it has data for."""
