"""The command line: `osupervisor COMMAND`. Starts at `main`; each command's module loads alone."""
