"""What runs in workers: Brain, op, the state tree, the follower and the run loop."""
