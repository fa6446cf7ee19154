"""BPR: Bayesian Personalized Ranking as a recommender, from interactions to scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import load_npz, save_npz

from bpr_helpers.matrix import InteractionMatrix, as_matrix
from bpr_helpers.ranking import mean_ndcg
from bpr_helpers.sampling import SamplerName, UnseenItems, make_sampler
from bpr_helpers.settings import BPRSettings, faults

if TYPE_CHECKING:
    import keras

    from bpr_helpers.training import Optimizer, Tables

Vectors = NDArray[np.float32]
# The tuned values are kept once, for the package and for the notebooks.
USUAL = BPRSettings()  # type: ignore[call-arg]
VALIDATION_USERS = 10_000  # of more users than these, a sample is validated


class BPR:
    """Vectors for users and items, trained so that what a user has scores above what they have not.

    Every argument but the first is by name. The defaults are tuned on the validation part of MovieLens-100K.

    Parameters
    ----------
    dim : int
        Length of a vector.
    l2_user, l2_pos, l2_neg, l2_bias : float
        Strength of the L2 on the user's vector, the positive's, the negative's, and on both biases: per
        triple, half the strength times the squared norm.
    item_bias : bool
        Whether items have a bias; without, nothing but vectors.
    sampler : {"uniform", "popularity", "hard", "shared", "weighted"}
        How negatives are drawn (see `bpr_helpers.sampling`).
    n_negatives : int
        Negatives per positive, or per batch where they are shared; 0 takes the sampler's usual number.
    temperature : float
        Of the weights of "weighted", in units of the score.
    alpha : float
        Exponent of popularity of "popularity".
    recency : float
        A positive counts in proportion to exp(-recency * share of the user's positives that are later); the
        mean over a user's positives is 1. Needs a column timestamp; where there is none, all count alike. 0
        switches it off.
    epochs : int
        Passes over the positives; the largest number of them where there is patience.
    batch_size : int
        Positives per step.
    optimizer : str or keras.optimizers.Optimizer
        "adagrad" updates only the rows that a batch touches; any other Keras optimizer, by name or as an
        object, updates all rows.
    learning_rate : float
        Its step size; an optimizer given as an object has its own.
    init_scale : float
        Standard deviation of the initial vectors.
    patience : int
        Stop after that many epochs without a better NDCG@10 on `valid`; 0 never stops early.
    averaging : float
        Decay of the running average of the weights over epochs, which is what is validated and kept; 0 keeps
        the last epoch's weights.
    seed : int
        Of the initial vectors, the order of the positives and the negatives. The same seed gives the same
        bits in another process with the same package versions, processor type and number of threads.
    verbose : bool
        Show a progress bar.

    Attributes
    ----------
    matrix : InteractionMatrix, what the model was fitted on
    user_vectors : float32 (n_users, dim)
    item_vectors : float32 (n_items, dim)
    item_biases : float32 (n_items,)
    history : DataFrame, one row per epoch: epoch, loss, accuracy (share of pairs in the right order, on the
        training triples), and with `valid` valid_ndcg@10 and valid_accuracy
    best_epoch : int, the epoch whose weights were kept

    Source: Rendle et al. (2009), BPR: Bayesian Personalized Ranking from Implicit Feedback.
    """

    matrix: InteractionMatrix

    def __init__(
        self,
        dim: int = USUAL.dim,
        *,
        l2_user: float = USUAL.l2_user,
        l2_pos: float = USUAL.l2_pos,
        l2_neg: float = USUAL.l2_neg,
        l2_bias: float = USUAL.l2_bias,
        item_bias: bool = USUAL.item_bias,
        sampler: SamplerName = USUAL.sampler,
        n_negatives: int = USUAL.n_negatives,
        temperature: float = USUAL.temperature,
        alpha: float = USUAL.alpha,
        recency: float = USUAL.recency,
        epochs: int = 23,
        batch_size: int = USUAL.batch_size,
        optimizer: str | keras.optimizers.Optimizer = USUAL.optimizer,
        learning_rate: float = USUAL.learning_rate,
        init_scale: float = USUAL.init_scale,
        patience: int = 0,
        averaging: float = USUAL.averaging,
        seed: int = USUAL.seed,
        verbose: bool = False,
    ) -> None:
        given = locals()
        self.settings: dict[str, Any] = {name: given[name] for name in SETTINGS}
        self.verbose = verbose
        checked = {n: v for n, v in self.settings.items() if n != "optimizer" or isinstance(v, str)}
        if found := faults(BPRSettings, checked):
            raise ValueError(f"BPR cannot be made like this: {'; '.join(found.values())}.")

    def fit(
        self,
        interactions: pd.DataFrame | InteractionMatrix,
        *,
        valid: pd.DataFrame | InteractionMatrix | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn from interactions, every distinct (user, item) pair being one positive.

        Parameters
        ----------
        interactions : DataFrame with user_id and item_id (and timestamp, for recency), or an
        InteractionMatrix
        valid : the interactions on which the best epoch is chosen; None trains for exactly `epochs` epochs
        checkpoint : file that is written after every epoch, and from which a killed fit goes on

        Raises
        ------
        ValueError
            Patience without `valid`, no known pair in `valid`, a user who has seen every item, a training
            that diverges, or a checkpoint of another training.
        """
        from bpr_helpers import training
        from bpr_helpers.model import L2, BPRModel

        use = self.settings
        if use["patience"] and valid is None:
            raise ValueError("patience needs a validation part: pass valid=... to fit, or set patience=0.")
        self.matrix = as_matrix(interactions)
        held_out = None if valid is None else self._known_part(valid)
        sizes: dict[str, Any] = {"n_users": self.matrix.n_users, "n_items": self.matrix.n_items}
        made = {name: use[name] for name in ("dim", "item_bias", "init_scale", "seed")}
        self.keras_model = BPRModel(**sizes, **made)
        state = training.train(
            self.keras_model.tables,
            self.matrix,
            make_sampler(
                use["sampler"],
                self.matrix,
                n_negatives=use["n_negatives"],
                temperature=use["temperature"],
                alpha=use["alpha"],
            ),
            weights=training.recency_weights(self.matrix, use["recency"]),
            optimizer=_optimizer(use["optimizer"], use["learning_rate"]),
            l2=L2(use["l2_user"], use["l2_pos"], use["l2_neg"], use["l2_bias"]),
            item_bias=use["item_bias"],
            epochs=use["epochs"],
            batch_size=use["batch_size"],
            averaging=use["averaging"],
            patience=use["patience"],
            validate=None if held_out is None else _Validation(self.matrix, held_out, use["seed"]),
            seed=use["seed"],
            checkpoint=None if checkpoint is None else Path(checkpoint),
            settings_hash=training.fingerprint(_as_json(use, but="epochs"), self.matrix, held_out),
            verbose=self.verbose,
        )
        self.keras_model.set_weights([state.best[0], state.best[1], state.best[2]])
        self._hold(state.best)
        self.history = pd.DataFrame(state.history)
        self.best_epoch = state.best_epoch
        return self

    def score(self, user_codes: NDArray[np.int64]) -> Vectors:
        """Scores of all items: float32, (len(user_codes), n_items)."""
        return self.user_vectors[user_codes] @ self.item_vectors.T + self.item_biases

    def save(self, folder: str | Path) -> None:
        """Write the model, its ids, seen items, parameters and history into a folder, without pickle."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.keras_model.save(folder / "model.keras")
        pd.DataFrame({"user_id": self.matrix.user_ids}).to_parquet(folder / "users.parquet")
        pd.DataFrame({"item_id": self.matrix.item_ids}).to_parquet(folder / "items.parquet")
        save_npz(folder / "seen.npz", self.matrix.csr)
        self.history.to_parquet(folder / "history.parquet")
        settings = {"settings": _as_json(self.settings), "best_epoch": self.best_epoch}
        (folder / "bpr.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            The folder does not hold a whole model.
        """
        from bpr_helpers.model import keras  # that module registers the class which the .keras file names

        folder = Path(folder)
        try:
            saved = json.loads((folder / "bpr.json").read_text("utf-8"))
            users, items = (
                pd.read_parquet(folder / f"{name}.parquet").iloc[:, 0] for name in ("users", "items")
            )
            csr = load_npz(folder / "seen.npz")
            keras_model = keras.saving.load_model(folder / "model.keras", compile=False)
            history = pd.read_parquet(folder / "history.parquet")
        except Exception as error:
            raise ValueError(
                f"{folder} does not hold a whole BPR model ({error}): fit and save it again."
            ) from error
        optimizer = saved["settings"]["optimizer"]
        if isinstance(optimizer, dict):
            saved["settings"]["optimizer"] = keras.optimizers.deserialize(optimizer)
        bpr = cls(**saved["settings"])
        bpr.matrix = InteractionMatrix(np.asarray(users), np.asarray(items), csr)
        bpr.keras_model, bpr.history, bpr.best_epoch = keras_model, history, saved["best_epoch"]
        bpr._hold(keras_model.tables)
        return bpr

    def _hold(self, tables: Tables) -> None:
        self.user_vectors, self.item_vectors, self.item_biases = tables

    def _known_part(self, valid: pd.DataFrame | InteractionMatrix) -> InteractionMatrix:
        if isinstance(valid, pd.DataFrame):
            valid = InteractionMatrix.from_frame(valid, like=self.matrix, unknown="drop")
        if not valid.csr.nnz:
            raise ValueError(
                "No interaction in valid has a user and an item of the training part: check the split."
            )
        return valid


SETTINGS = tuple(BPRSettings.model_fields)


class _Validation:
    """NDCG@10 and pairwise accuracy on the validation part, for tables of vectors and biases."""

    def __init__(self, seen: InteractionMatrix, valid: InteractionMatrix, seed: int) -> None:
        self.seen, self.valid = seen, valid
        rng = np.random.default_rng(seed)
        users = np.flatnonzero(np.diff(valid.csr.indptr))
        if users.size > VALIDATION_USERS:
            users = np.sort(rng.choice(users, VALIDATION_USERS, replace=False))
        self.users = users
        chosen = valid.csr[users]
        self.owners, self.positives = np.repeat(users, np.diff(chosen.indptr)), chosen.indices
        unseen = UnseenItems(seen)
        ranks = (rng.random(self.owners.size) * unseen.counts[self.owners]).astype(np.int64)
        self.negatives = unseen.item(self.owners, ranks)

    def __call__(self, tables: Tables) -> dict[str, float]:
        user, item, bias = tables
        ndcg = mean_ndcg(lambda codes: user[codes] @ item.T + bias, self.seen, self.valid, 10, self.users)
        owner = user[self.owners]
        above, below = (
            np.einsum("nd,nd->n", owner, item[codes]) + bias[codes]
            for codes in (self.positives, self.negatives)
        )
        return {"valid_ndcg@10": ndcg, "valid_accuracy": float(np.mean(above > below))}


def _optimizer(given: str | keras.optimizers.Optimizer, learning_rate: float) -> Optimizer:
    """The package's own Adagrad, or a fresh copy of a Keras optimizer."""
    import keras

    from bpr_helpers.training import KerasOptimizer, RowAdagrad

    if given == "adagrad":
        return RowAdagrad(learning_rate)
    if isinstance(given, str):
        return KerasOptimizer(
            keras.optimizers.get({"class_name": given, "config": {"learning_rate": learning_rate}})
        )
    return KerasOptimizer(type(given).from_config(given.get_config()))


def _as_json(settings: dict[str, Any], *, but: str = "") -> dict[str, Any]:
    """The settings in types that JSON has; an optimizer given as an object becomes its configuration."""
    chosen = {name: value for name, value in settings.items() if name != but}
    if not isinstance(chosen["optimizer"], str):
        import keras

        chosen["optimizer"] = keras.optimizers.serialize(chosen["optimizer"])
    return chosen
