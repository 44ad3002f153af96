"""The pure core: what is decided of log, lease, deaths and retries. No I/O and no clock."""
