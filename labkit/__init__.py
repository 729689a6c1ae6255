"""labkit: patterns for running the Claude API at scale, and the laboratory to study them in."""
