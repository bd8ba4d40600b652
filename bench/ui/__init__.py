"""Looking at results and measuring from a browser: the server behind `crawlbench ui`."""
