"""Files from outside: nothing in them is executed, and loading never allocates more than a file contains."""
