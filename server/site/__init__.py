"""A generated web site, a pure function of its spec, for spiders: they find their work by links."""
