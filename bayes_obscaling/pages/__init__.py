"""Pages: a forecast or a backtest as one HTML file that anybody can open; `bayes_obscaling.report` writes them."""
