from tests.proxy.relay.windowed import long_answers, poor, small_windows

__all__ = ["long_answers", "poor", "small_windows"]
