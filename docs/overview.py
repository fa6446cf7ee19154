"""Draw docs/overview.png, the figure at the top of the README: `python docs/overview.py`.

Left the long tail of MovieLens-100K; right the standard split of `benchmarks/results/quality.csv`, which
benchmarks/quality.py writes.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bpr_helpers import drop_unknown_titles, load_interactions, load_items, plots

HERE = Path(__file__).parent
SHOWN = ["popularity", "ItemKNN", "EASE", "IALS", "BPR"]


def main() -> None:
    """Draw the long tail, and both blocks of the table of quality side by side."""
    _, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    plots.long_tail(drop_unknown_titles(load_interactions(), load_items()), threshold=6, ax=left)
    quality = pd.read_csv(HERE.parent / "benchmarks" / "results" / "quality.csv")
    quality = quality[quality["protocol"] == "per_user"]
    looks = {"times unused": (0.12, "s", plots.BLUE), "times used": (-0.12, "o", plots.VERMILION)}
    for block, (shift, mark, color) in looks.items():
        rows = quality[quality["block"] == block].set_index("model").loc[SHOWN]
        error = [rows["ndcg@10"] - rows["low"], rows["high"] - rows["ndcg@10"]]
        places = np.arange(len(SHOWN)) + shift
        right.errorbar(rows["ndcg@10"], places, xerr=error, fmt=mark, color=color, capsize=3, label=block)
        for place, value, high in zip(places, rows["ndcg@10"], rows["high"], strict=True):
            right.text(high + 0.003, place, f"{value:.3f}", va="center", fontsize=8, color=color)
    right.set_yticks(range(len(SHOWN)), [name[0].upper() + name[1:] for name in SHOWN])
    right.set(xlim=(0, 0.25), xlabel="NDCG@10, mean and 95 % interval over users")
    right.set_title("What the clock is worth, for every model")
    right.legend(frameon=False, loc="lower right")
    plt.savefig(HERE / "overview.png", dpi=100)


if __name__ == "__main__":
    main()
