"""Questions asked of a fit, or of several: each answer is a table, sentences, and a plot."""
