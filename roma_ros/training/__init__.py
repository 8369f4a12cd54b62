"""Teaching the network: streams, towers, and the two-stage curriculum."""
