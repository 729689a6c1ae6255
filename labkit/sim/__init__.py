"""The simulated Claude API: the other side of the wire, without a network."""
