"""Which models to evaluate next on a task, when not all can be."""
