"""How often a node says the same thing."""

#: Least time between two lines on the log about one trouble, in seconds.
WARNING_PERIOD_SEC = 5.0
