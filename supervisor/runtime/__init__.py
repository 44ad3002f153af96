"""The supervisor process: the shell of sockets, files and processes that drives the pure core."""
