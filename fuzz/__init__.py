"""Inputs that nobody thought of: each file in `fuzz/targets` says what must hold for any bytes at all.

A target has `SEEDS`, a few honest inputs to begin with, and `check(data)`, which raises if something does not hold. It
may have `WORDS`, which are put in at the beginning of lines, and `EXAMPLES`, how many inputs the tests try.
`make fuzz` lets atheris look for such inputs, guided by the branches of Chuizi's own code that they reach; the tests
try some hundred with hypothesis each time.
"""
