"""Who leads on other data: the two blocks of quality.py on data sets that are not part of the course.

    python benchmarks/search.py NAME FILE.csv       # first: everybody's configuration on its validation part
    python benchmarks/elsewhere.py NAME FILE.csv    # then: test, per user, tie seeds 0 to 2

FILE has the columns user_id, item_id and timestamp; of repeated pairs the first counts, and users and items
with fewer than six interactions are left out. Writes results/elsewhere.csv, and prints who leads where.

Recorded: foursquare-nyc, check-ins in New York, 2012-13 (Yang et al. 2015), the part that STAN (Luo et al.
2021) uses; ml-latest-small, GroupLens's set of 100,836 ratings by 610 users, 1996 to 2018;
online-retail, a British wholesaler's invoices of 2010-11 (Chen 2015, UCI Machine Learning Repository).
"""

import sys

import pandas as pd
from common import RESULTS
from contenders import BLOCKS, data_set
from quality import tables

from bpr_helpers import split_per_user

FILE = RESULTS / "elsewhere.csv"


def record(name: str, file: str) -> None:
    """Put the rows of a data set in the place of those that the table held of it."""
    core = data_set(name, file)
    rows, versus = tables(name, [split_per_user(core, seed=seed) for seed in range(3)])
    lead = versus.rename(columns={"low": "lead low", "high": "lead high"})
    lead = lead.rename(columns={"difference": "BPR's lead"}).drop(columns="p_value")
    new = rows.merge(lead, on=["block", "model"], how="left").round(4)
    sizes = {"users": core["user_id"].nunique(), "items": core["item_id"].nunique(), "rows": len(core)}
    new = new.drop(columns="users").assign(**sizes)
    new.insert(0, "data", name)
    old = pd.read_csv(FILE) if FILE.exists() else new.head(0)
    pd.concat([old[old["data"] != name], new], ignore_index=True).to_csv(FILE, index=False)


def movielens() -> pd.DataFrame:
    """What quality.py recorded of the standard split, in the columns of this table."""
    rows, versus = (pd.read_csv(RESULTS / f"{name}.csv") for name in ("quality", "differences"))
    rows, versus = (table[table["protocol"] == "per_user"] for table in (rows, versus))
    lead = versus.rename(columns={"difference": "BPR's lead", "low": "lead low", "high": "lead high"})
    return rows.merge(lead, on=["block", "model"], how="left").assign(data="ml-100k")


def leaders() -> str:
    """Per data set and block: BPR, the best of the others, and BPR's lead over it with its interval."""
    recorded = pd.concat([movielens(), pd.read_csv(FILE)], ignore_index=True)
    lines = [
        "| data | times unused: best other | BPR | BPR's lead | times used: best other | BPR | BPR's lead |",
        "|---|---|---|---|---|---|---|",
    ]
    for data, rows in recorded.groupby("data", sort=False):
        cells = [str(data)]
        for block in BLOCKS:
            table = rows[rows["block"] == block].set_index("model")
            other = table.drop("BPR")["ndcg@10"].idxmax()
            lead, low, high = table.loc[other, ["BPR's lead", "lead low", "lead high"]]
            cells += [f"{other} {three(table.loc[other, 'ndcg@10'])}", three(table.loc["BPR", "ndcg@10"])]
            cells.append(f"{three(lead, '+')} [{three(low, '+')}, {three(high, '+')}]")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def three(value: float, sign: str = "") -> str:
    """Three digits behind the point, and none before it."""
    return f"{value:{sign}.3f}".replace("0.", ".", 1)


if __name__ == "__main__":
    if sys.argv[1:]:
        record(*sys.argv[1:])
    print(leaders())
