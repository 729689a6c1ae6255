"""One reliability or cost pattern a module, each a middleware for the official SDK."""
