"""How many requests at a time, and with which crawler: the experiment of `crawlbench advise`."""
