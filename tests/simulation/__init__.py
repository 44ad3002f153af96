"""A seeded simulation of the whole: the service's own core and log, all else simulated."""
