"""The bench: says what is to be measured, runs it, keeps and sums up what came out."""
