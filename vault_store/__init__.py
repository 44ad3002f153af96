"""Checkpoints, shared-memory hot state and the death watch.

hot: the segment that a brain shows itself in; futex: waiting for its death; checkpoint: the store
of whole states; state_file: the bytes of one; manifest: what a checkpoint says of itself.
Import from these modules: whoever needs one must not pay for the others.
"""
