"""The bench: it plans experiments, runs them, keeps the results and reports them."""
