"""The bench that lessons stand on: modes, cassettes, charts, widgets and checks."""
