"""A seeded simulation of the whole: the service's own core and log, with everything else simulated."""
