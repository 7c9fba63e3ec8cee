"""What came out: fits and forecasts."""
