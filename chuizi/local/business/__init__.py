"""A small business for the demo's desk: a few customers, made through the sandbox's providers once `make run` is up."""
