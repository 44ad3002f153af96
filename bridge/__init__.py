"""All that crosses a process boundary: frames, messages, state operations, ports, clients."""
