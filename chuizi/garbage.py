"""Python's collector of cycles, told what a server's memory looks like."""

import gc

NEW_OBJECTS, OF_YOUNG, OF_MIDDLE = 20_000, 20, 50


def collect_rarely() -> None:
    """Leave what start-up made alone, and look at new objects less often.

    With the defaults every few hundred objects start a collection, and now and then one walks through all of Django:
    80 ms in which a gateway answers nobody.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, OF_YOUNG, OF_MIDDLE)
