from __future__ import annotations

import pandas as pd

from bayes_obscaling.validation.factor_recovery import factor_count_table


def test_the_table_of_factor_counts_prefers_fewer_where_the_data_cannot_tell():
    def one(truth: int, i: int, elpd: list[float], se: list[float]) -> pd.DataFrame:
        frame = pd.DataFrame({"factors": [1, 2, 3], "elpd": elpd, "se": se, "truth": truth, "set": i})
        return frame.assign(difference=frame["elpd"] - frame["elpd"].max())

    found = pd.concat(
        [
            one(2, 0, [-50.0, -3.0, 0.0], [9.0, 2.0, 0.0]),  # 3 predicts best, 2 about as well
            one(2, 1, [-50.0, 0.0, -5.0], [9.0, 0.0, 2.0]),
            one(1, 0, [0.0, -4.0, -9.0], [0.0, 2.0, 3.0]),
        ]
    )
    table = factor_count_table(found).set_index("truth")
    assert table.loc[2, "best_is_truth"] == 0.5 and table.loc[2, "parsimonious_is_truth"] == 1.0
    assert table.loc[2, "chosen"] == "2: 1; 3: 1" and table.loc[1, "parsimonious"] == "1: 1"
