"""Questions asked of one fit: each answer is a table, sentences, and a plot."""
