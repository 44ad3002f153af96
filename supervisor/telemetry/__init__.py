"""What happens and how often: events with handlers, metrics, and the Prometheus text of them."""
