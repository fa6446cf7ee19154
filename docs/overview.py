"""Draw docs/overview.png, the figure at the top of the README: `python docs/overview.py` (a minute)."""

from pathlib import Path

import matplotlib.pyplot as plt

from bpr_helpers import plots
from bpr_helpers.baselines import EASE, IALS, ItemKNN, Popularity, Random
from bpr_helpers.bpr import BPR
from bpr_helpers.data import drop_unknown_titles, load_interactions, load_items
from bpr_helpers.evaluation import evaluate
from bpr_helpers.matrix import Recommender
from bpr_helpers.pruning import k_core
from bpr_helpers.splitting import split_per_user


def main() -> None:
    """Fit every recommender on the standard split; draw the long tail and the NDCG@10 of each."""
    interactions = drop_unknown_titles(load_interactions(), load_items())
    split = split_per_user(k_core(interactions).interactions)
    recommenders: list[Recommender] = [BPR(), IALS(), EASE(), ItemKNN(), Popularity(), Random()]
    fitted = {type(recommender).__name__: recommender.fit(split.train) for recommender in recommenders}
    summaries = {name: evaluate(recommender, split.test).summary() for name, recommender in fitted.items()}
    _, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    plots.long_tail(interactions, threshold=6, ax=left)
    title = "Six recommenders predict each user's last tenth"
    plots.forest(summaries, title=title, ax=right)
    plt.savefig(Path(__file__).with_name("overview.png"), dpi=100)


if __name__ == "__main__":
    main()
