"""Runs on several machines: shares of a run are carried by the workers of a Dask cluster."""
