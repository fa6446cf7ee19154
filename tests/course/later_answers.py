"""Right and wrong answers to the exercises of notebooks 03 to 07, as a student may give them."""

import numpy as np
import pandas as pd
from scipy import stats

LATER_SECRETS = {
    "model_1": "20",
    "evaluation_1": "9|nine",
    "evaluation_5": "100",
    "tuning_1": "16|sixteen",
    "better_1": "0?\\.8",
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bias_slopes(user, positive, negative, b_i, b_j, l2):
    push = sigmoid(-(user @ (positive - negative) + b_i - b_j))
    return -push + l2 * b_i, push + l2 * b_j


def drawn(chosen, n_items, n, rng):
    return rng.choice(np.setdiff1d(np.arange(n_items), chosen), n)


def redrawn(chosen, n_items, n, rng):
    codes = rng.integers(0, n_items, n)
    while (bad := np.isin(codes, chosen)).any():
        codes[bad] = rng.integers(0, n_items, bad.sum())
    return codes.tolist()


def next_free(chosen, n_items, n, rng):
    codes = rng.integers(0, n_items, n)
    while (bad := np.isin(codes, chosen)).any():
        codes[bad] = (codes[bad] + 1) % n_items
    return codes


def step(users, items, u, i, j, rate, l2, *, sign=1, at_once=True, l2_items=True, negative_moves=True):
    user, positive, negative = users[u].copy(), items[i].copy(), items[j].copy()
    push = sigmoid(-(user @ (positive - negative)))
    users[u] -= rate * (l2 * user - sign * push * (positive - negative))
    pulling = user if at_once else users[u]
    items[i] -= rate * (l2_items * l2 * positive - sign * push * pulling)
    if negative_moves:
        items[j] -= rate * (l2_items * l2 * negative + sign * push * pulling)
    return users, items


def recall_and_ndcg(ranks, k, *, log=np.log2, per=len, ideal=lambda ranks, k: min(k, len(ranks)), add=1):
    gains = [1 / log(rank + add) for rank in ranks if rank <= k]
    best = sum(1 / log(rank + add) for rank in range(1, ideal(ranks, k) + 1))
    return len(gains) / per(ranks), sum(gains) / best


def bootstrap(values, rng, *, n=2000, statistic=np.mean, replace=True, ends=(0.025, 0.975), size=None):
    size = size or len(values)
    samples = [statistic(rng.choice(values, size, replace=replace)) for _ in range(n)]
    return np.quantile(samples, ends)


def interval(a, b, rng, **how):
    return bootstrap(a - b, rng, **how)


def unpaired(a, b, rng):
    means = [rng.choice(a, len(a)).mean() - rng.choice(b, len(b)).mean() for _ in range(2000)]
    return np.quantile(means, [0.025, 0.975])


def flips(differences, n_flips, rng):
    signs = rng.choice([-1, 1], (n_flips, len(differences)))
    return (signs * differences).mean(axis=1)


def p_value(differences, n_flips, rng, *, extra=1, two_sided=True):
    found, observed = flips(differences, n_flips, rng), differences.mean()
    as_far = np.abs(found) >= abs(observed) if two_sided else found >= observed
    return (extra + as_far.sum()) / (extra + n_flips)


def doubled(differences, n_flips, rng, *, most=1, extra=1):
    """The lesson's way: count on the side of what was observed, and double."""
    found, observed = np.round(flips(differences, n_flips, rng), 9), np.round(differences.mean(), 9)
    as_far = min((found >= observed).sum(), (found <= observed).sum())
    return min(most, 2 * (extra + as_far) / (extra + n_flips))


def early(train, test, *, first="min", last="max", compare="lt"):
    latest = train.groupby("user_id")["timestamp"].agg(last)
    earliest = test.groupby("user_id")["timestamp"].agg(first)
    both = pd.concat([earliest, latest], axis=1, keys=["test", "train"]).dropna()
    return both.index[getattr(both["test"], compare)(both["train"])]


def price(mistaken, fair, *, ddof=1, factor=None, paired=True):
    change, n = mistaken - fair, len(fair)
    spread = change.std(ddof=ddof) if paired else np.hypot(mistaken.std(ddof=1), fair.std(ddof=1))
    room = (factor or stats.t.ppf(0.975, n - 1)) * spread / np.sqrt(n)
    return change.mean(), change.mean() - room, change.mean() + room


def luck_of_best(n, luck, rng):
    return rng.normal(0, luck, (20_000, n)).max(axis=1).mean()


def winner(trials):
    table = trials.pivot_table(index="configuration", columns="seed", values="ndcg@10").dropna()
    return table.mean(axis=1).idxmax()


def softmax(scores, chosen, temperature):
    powers = np.where(chosen, 0, np.exp((scores - scores.max()) / temperature))
    return powers / powers.sum()


def weights(n, recency):
    found = np.exp(-recency * np.arange(n)[::-1] / n)
    return found / found.mean()


def later_right():
    """Right answers, written in several ways."""
    factor = np.exp(3)
    share = np.exp(4) / (np.exp(4) + np.exp(2) + 1)
    return {
        "model_1": [20, factor, np.float32(factor), np.array([20.1]), 18],
        "model_2": [bias_slopes, lambda *g: np.float32(bias_slopes(*g)), lambda *g: [*bias_slopes(*g)]],
        "model_3": [drawn, redrawn, lambda *given: pd.Series(drawn(*given))],
        "model_4": [step, lambda *given: [table.astype(np.float32) for table in step(*given)]],
        "model_5": ["grows", " Grows "],
        "model_6": ["ace", "a, c, e", {"e", "c", "a"}],
        "evaluation_1": [9, 9.0, np.float32(9), np.array([9])],
        "evaluation_2": [
            recall_and_ndcg,
            lambda ranks, k: recall_and_ndcg(ranks, k, log=np.log),  # any logarithm: the ratio is the same
            lambda *given: np.float32(recall_and_ndcg(*given)),
            lambda *given: pd.Series(recall_and_ndcg(*given), index=["recall", "ndcg"]),
        ],
        "evaluation_3": [interval, lambda a, b, rng: tuple(interval(a, b, rng, n=4000)), lambda a, b, rng: [
            *np.quantile((a - b)[rng.integers(0, len(a), (3000, len(a)))].mean(axis=1), [0.025, 0.975])
        ], lambda a, b, rng: np.quantile(
            [(a[u] - b[u]).mean() for u in rng.integers(0, len(a), (2000, len(a)))], [0.025, 0.975]
        ).astype(np.float32)],
        "evaluation_4": [p_value, doubled, lambda *given: np.float32(p_value(*given))],
        "evaluation_5": [100, 100.0, np.int16(100), pd.Series([100])],
        "evaluation_6": ["bcd", ["b", "c", "d"], "B C D"],
        "pitfalls_1": ["rises", " Rises"],
        "pitfalls_2": [early, lambda *given: [*early(*given)], lambda *given: {*early(*given)}],
        "pitfalls_3": [price, lambda *given: [*price(*given)], lambda *given: np.array(price(*given))],
        "pitfalls_4": ["ac", "c a", {"a": True, "b": False, "c": True}],
        "tuning_1": [16, 16.0, np.int8(16), [16]],
        "tuning_2": [luck_of_best, lambda n, luck, rng: luck * np.mean(
            [rng.normal(size=n).max() for _ in range(8000)]
        )],
        "tuning_3": [winner, lambda trials: np.str_(winner(trials))],
        "tuning_4": ["abe", "e b a"],
        "better_1": [share, 0.87, np.float32(share), round(share, 2)],
        "better_2": [softmax, lambda *given: softmax(*given).astype(np.float32), lambda *g: [*softmax(*g)]],
        "better_3": [weights, lambda *given: pd.Series(weights(*given)), lambda *g: weights(*g).tolist()],
        "better_4": ["be", "E, B"],
    }  # fmt: skip


def later_wrong():
    """Answers that a student may well give."""

    def changed(function, **how):
        return lambda *given: function(*given, **how)

    def mean_of_rows(trials, how):
        return trials.groupby("configuration")["ndcg@10"].agg(how).idxmax()

    def with_bias_forgotten(user, positive, negative, b_i, b_j, l2):
        return bias_slopes(user, positive, negative, 0 * b_i, 0 * b_j, 0) + l2 * np.array([b_i, b_j])

    return {
        "model_1": [6, 2, 1 / 20, 403, 1],
        "model_2": [
            lambda *given: -np.array(bias_slopes(*given)),
            lambda *given: bias_slopes(*given[:5], 0),  # no L2
            lambda *given: bias_slopes(*given)[::-1],
            with_bias_forgotten,
            lambda *given: bias_slopes(*given[:5], 2 * given[5]),  # the half forgotten
            lambda *given: [bias_slopes(*given)[0]] * 2,
        ],
        "model_3": [
            lambda chosen, n_items, n, rng: rng.integers(0, n_items, n),  # positives, too
            next_free,
            lambda *given: np.full(given[2], drawn(*given)[0]),
            lambda *given: drawn(*given)[:1],
            lambda chosen, n_items, n, rng: rng.choice(chosen if len(chosen) else [9], n),
            lambda chosen, n_items, n, rng: rng.choice(np.setdiff1d(np.arange(n_items + 1), chosen), n),
        ],
        "model_4": [
            changed(step, sign=-1),
            changed(step, at_once=False),
            changed(step, l2_items=False),
            changed(step, negative_moves=False),
            lambda *given: step(*given[:6], 2 * given[6]),
            lambda *given: step(*given)[0],
            lambda users, items, *given: (users * 0.9, step(users, items, *given)[1]),
        ],
        "model_5": ["settles", "shrinks", "explodes"],
        "model_6": ["abce", "ae", "acde", "acef", "bd"],
        "evaluation_1": [3, 1 / 9, 6, 27, np.sqrt(3), 3 * 943],
        "evaluation_2": [
            changed(recall_and_ndcg, per=lambda ranks: 10),  # recall divided by k
            lambda ranks, k: (
                recall_and_ndcg(ranks, k)[0] * len(ranks) / min(k, len(ranks)),
                recall_and_ndcg(ranks, k)[1],
            ),
            changed(recall_and_ndcg, log=lambda rank: rank - 1),  # the discount 1 / rank
            changed(recall_and_ndcg, log=lambda rank: np.log2(rank + 1)),  # one rank too far
            changed(recall_and_ndcg, ideal=lambda ranks, k: len(ranks)),  # not cut at k
            changed(recall_and_ndcg, ideal=lambda ranks, k: k),
            changed(recall_and_ndcg, ideal=lambda ranks, k: max(1, sum(rank <= k for rank in ranks))),
            lambda ranks, k: recall_and_ndcg([rank + (rank == k) for rank in ranks], k),  # rank < k
            lambda ranks, k: recall_and_ndcg(ranks, np.inf, ideal=lambda ranks, k: len(ranks)),
            lambda *given: recall_and_ndcg(*given)[::-1],
            lambda *given: recall_and_ndcg(*given)[1],
        ],
        "evaluation_3": [
            unpaired,
            lambda a, b, rng: bootstrap(a, rng) - bootstrap(b, rng),
            lambda a, b, rng: bootstrap(a, rng) - bootstrap(b, rng)[::-1],
            lambda a, b, rng: interval(b, a, rng),
            lambda a, b, rng: np.quantile(a - b, [0.025, 0.975]),
            lambda a, b, rng: (a - b).mean() + np.array([-1.96, 1.96]) * (a - b).std(),
            changed(interval, replace=False),
            changed(interval, ends=(0.05, 0.95)),
            changed(interval, size=10),
            lambda *given: interval(*given)[::-1],
        ],
        "evaluation_4": [
            changed(p_value, extra=0),
            changed(p_value, two_sided=False),
            changed(doubled, extra=0),
            changed(doubled, most=2),  # not cut at 1
            lambda *given: doubled(*given) / 2,
            lambda d, n, rng: 1 - p_value(d, n, rng),
            lambda d, n, rng: stats.norm.sf(abs(d.mean() / d.std() * np.sqrt(len(d)))),
            lambda d, n, rng: (1 + sum(rng.permutation(d).mean() >= d.mean() for _ in range(n))) / (n + 1),
        ],
        "evaluation_5": [25, 50, 200, 400, 99, 1297, 0.9],
        "evaluation_6": ["abcd", "bc", "bcde", "bcdf", "ae"],
        "pitfalls_1": ["falls", "stays", "up"],
        "pitfalls_2": [
            changed(early, compare="le"),
            changed(early, first="mean", last="mean"),
            changed(early, first="max"),
            changed(early, compare="gt"),
            lambda train, test: [],
            lambda train, test: test.loc[test["timestamp"] < train["timestamp"].max(), "user_id"].unique(),
            lambda train, test: early(train, test).size,
        ],
        "pitfalls_3": [
            lambda mistaken, fair: price(fair, mistaken),
            changed(price, paired=False),
            changed(price, factor=1.96),
            changed(price, ddof=0),
            lambda mistaken, fair: price(mistaken, fair)[:2],
        ],
        "pitfalls_4": ["abc", "a", "acd", "ace", "bd"],
        "tuning_1": [4, 8, 2, 1, 15],
        "tuning_2": [
            lambda n, luck, rng: rng.normal(0, luck, (20_000, n)).max(),
            lambda n, luck, rng: np.abs(rng.normal(0, luck, (20_000, n))).max(axis=1).mean(),
            lambda n, luck, rng: luck_of_best(n, 1, rng),
            lambda n, luck, rng: np.quantile(rng.normal(0, luck, (20_000, n)).max(axis=1), 0.95),
            lambda n, luck, rng: luck * np.sqrt(n),
        ],
        "tuning_3": [
            lambda trials: trials.loc[trials["ndcg@10"].idxmax(), "configuration"],
            lambda trials: mean_of_rows(trials, "mean"),
            lambda trials: mean_of_rows(trials, "max"),
            lambda trials: mean_of_rows(trials, "min"),
            lambda trials: trials.groupby("configuration")["ndcg@10"].std().idxmin(),
            lambda trials: "default",
        ],
        "tuning_4": ["ab", "abde", "abce", "cd"],
        "better_1": [1 / 3, 0.506, 2 / 3, 1.5, 0.98],
        "better_2": [
            lambda scores, chosen, t: softmax(scores, chosen & False, t),
            lambda scores, chosen, t: np.where(chosen, 0, softmax(scores, chosen & False, t)),
            lambda scores, chosen, t: softmax(scores * t * t, chosen, t),
            lambda scores, chosen, t: (
                np.where(chosen, 0, np.exp(scores / t)) / np.where(chosen, 0, np.exp(scores / t)).sum()
            ),
            lambda scores, chosen, t: softmax(scores, chosen, t)[~chosen],
            lambda scores, chosen, t: ~chosen / (~chosen).sum(),
        ],
        "better_3": [
            lambda n, recency: weights(n, recency)[::-1],
            lambda n, recency: weights(n, recency) / n,
            lambda n, recency: np.exp(-recency * np.arange(n)[::-1] / n),
            lambda n, recency: weights(n, recency * n / max(1, n - 1)),
            lambda n, recency: np.ones(n),
        ],
        "better_4": ["b", "abe", "bde", "acd"],
    }
