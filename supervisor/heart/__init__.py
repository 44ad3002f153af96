"""Heart: the tiny process that owns the listening sockets and restarts the supervisor."""
