"""What a crawler must do, as rules that are run against it."""
