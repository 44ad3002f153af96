"""What this machine can and can't give a service, and what follows. Plain data; prints nothing."""
