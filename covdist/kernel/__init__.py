"""The fold's inner loops in C, which give the same bits on every processor."""
