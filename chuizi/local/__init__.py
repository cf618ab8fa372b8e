"""What `make run` and `make test` need on a machine that has only Python: PostgreSQL, a broker, and a supervisor."""
