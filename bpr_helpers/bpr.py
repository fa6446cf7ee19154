"""BPR: Bayesian Personalized Ranking as a recommender, from interactions to scores."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import load_npz, save_npz

from bpr_helpers.exporting import write_tables
from bpr_helpers.files import refuse_larger, replacing
from bpr_helpers.folding import solve_users
from bpr_helpers.history import FromHistories, tells_late_from_early, weighted_history
from bpr_helpers.matrix import Codes, InteractionMatrix, Interactions, as_matrix, meet
from bpr_helpers.ranking import mean_ndcg
from bpr_helpers.sampling import SamplerName, UnseenItems, make_sampler
from bpr_helpers.settings import BPRSettings, faults

if TYPE_CHECKING:
    import keras

    from bpr_helpers.model import BPRModel, Tables
    from bpr_helpers.training import Callback, Optimizer, Progress

Vectors = NDArray[np.float32]
# The tuned values are kept once, for the package and for the notebooks.
USUAL = BPRSettings()  # type: ignore[call-arg]
MOST_JUDGES, FEWEST_JUDGES, JUDGED = 10_000, 2_000, 10**8  # users who are validated, and scores of theirs
LEAST_L2 = 1e-3  # of phase two, where a vector without any L2 could grow without end


class BPR(FromHistories):
    """Vectors for users and items, trained so that what a user has scores above what they have not.

    Training has two phases with one objective. Phase one learns all vectors from all positives alike. Phase
    two keeps items and biases, and solves for every user's vector from their history weighted by `recency`
    (`bpr_helpers.folding`); so does `fold_in`, for users who came after training. Without recency, or
    without different times, the users of phase one stay.

    Every argument but the first is by name. The defaults are tuned on the validation part of MovieLens-100K.

    Parameters
    ----------
    dim : int
        Length of a vector.
    l2_user, l2_pos, l2_neg, l2_bias : float
        Strength of the L2 on the user's vector, the positive's, the negative's, and on both biases: per
        triple, half the strength times the squared norm, so that a row pays in proportion to its triples.
        In phase two l2_user counts at least .001.
    item_bias : bool
        Whether items have a bias; without, nothing but vectors.
    sampler : {"uniform", "popularity", "hard", "shared", "weighted"}
        How negatives are drawn (see `bpr_helpers.sampling`).
    n_negatives : int
        Negatives per positive, or per batch where they are shared; 0 takes the sampler's usual number.
    temperature : float
        Of the weights of "weighted", and of phase two's smooth maximum, in units of the score.
    recency : float
        How much more late positives say about a user, in phase two: one counts in proportion to
        exp(-recency * share of the user's positives that are later), with mean 1 (`history_weights`). Needs a
        column timestamp. 0 leaves phase two out.
    epochs : int
        Passes over the positives in phase one; the largest number of them where there is patience.
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
    matrix : InteractionMatrix, whose users the model serves: what it was fitted on, or what was folded in
    item_counts : float32 (n_items,), how many users each item had in training
    user_vectors : float32 (n_users, dim)
    item_vectors : float32 (n_items, dim)
    item_biases : float32 (n_items,)
    history : DataFrame, one row per epoch of phase one: epoch, loss, accuracy (share of pairs in the right
        order, on the training triples), and with `valid` valid_ndcg@10 and valid_accuracy
    best_epoch : int, the epoch of phase one whose items were kept
    keras_model : BPRModel, the same vectors and biases as a Keras model

    References
    ----------
    Rendle et al. (2009), BPR: Bayesian Personalized Ranking from Implicit Feedback.

    Examples
    --------
    >>> from bpr_helpers import synthetic_interactions
    >>> bpr = BPR(dim=8, epochs=2).fit(synthetic_interactions(50, 30, 600))
    >>> bpr.score([0, 1]).shape
    (2, 30)
    """

    items_know_recency = True  # where phase two follows, phase one may keep another epoch

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
        recency: float = USUAL.recency,
        epochs: int = 24,
        batch_size: int = USUAL.batch_size,
        optimizer: str | keras.optimizers.Optimizer = USUAL.optimizer,
        learning_rate: float = USUAL.learning_rate,
        init_scale: float = USUAL.init_scale,
        patience: int = 0,
        averaging: float = USUAL.averaging,
        seed: int = USUAL.seed,
        verbose: bool = False,
    ) -> None:
        given = {
            "dim": dim,
            "l2_user": l2_user,
            "l2_pos": l2_pos,
            "l2_neg": l2_neg,
            "l2_bias": l2_bias,
            "item_bias": item_bias,
            "sampler": sampler,
            "n_negatives": n_negatives,
            "temperature": temperature,
            "recency": recency,
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "init_scale": init_scale,
            "patience": patience,
            "averaging": averaging,
            "seed": seed,
        }
        # NumPy's numbers are numbers: they are kept as Python's, which JSON can write.
        self.settings: dict[str, Any] = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()
        }
        self.verbose = verbose
        checked = {n: v for n, v in self.settings.items() if n != "optimizer" or isinstance(v, str)}
        if found := faults(BPRSettings, checked):
            raise ValueError(f"BPR cannot be made like this: {'; '.join(found.values())}.")

    def fit(
        self,
        interactions: Interactions,
        *,
        valid: Interactions | None = None,
        start: BPR | None = None,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Learn from interactions, every distinct (user, item) pair being one positive.

        With `valid`, phase one stops after `patience` epochs without a better NDCG@10 of its users on it; it
        keeps the best epoch, or, where phase two follows, the last one, since what phase two makes of the
        items does not fall when one trains on (benchmarks/phases.py). Phase two always goes to its only
        minimum, so that it has no epoch to choose.

        A matrix that lies in files (`bpr_helpers.stored.open_matrix`) may be larger than memory: phase one
        goes through it piece by piece, if negatives are shared ("shared" or "weighted"; the other samplers
        hold 8 bytes or more for every positive). Phase two holds some 70 bytes for each: leave it out with
        recency=0. What stays in memory are 4 to 8 bytes of `sampling.SeenBits` for each positive, and of the
        tables of vectors and the optimizer some copies.

        With `start`, phase one goes on from a fitted model, so that few epochs do. The users and items whose
        ids it knows keep their vectors and biases; the others get those with which a fit without `start`
        would begin. The optimizer begins anew. The model then knows the users and items of `interactions`
        and no others: pass all that are to be served, not only those that are new.

        Parameters
        ----------
        interactions : DataFrame with user_id and item_id (and timestamp, for recency), or an
            InteractionMatrix
        valid : the interactions on which the best epoch is chosen; None trains for exactly `epochs` epochs
        start : a fitted BPR with vectors of the same length, which stays as it is; None begins anew
        checkpoint : file that is written after every epoch of phase one, and from which a fit goes on that
            was killed in either phase; phase two takes seconds and is done again
        callback : function called after every epoch of phase one with its number, the tables that it would
            keep now (`users`, `items` and `biases`, arrays) and its row of `history` as a dict

        Raises
        ------
        ValueError
            There is no interaction, patience without `valid`, no known pair in `valid`, a matrix with other
            codes as `valid`, a user who has seen every item, a training that diverges, or a checkpoint of
            another training; or `start` is no fitted BPR, has vectors of another length, knows none of the
            items, or knows none of the users and its ids of them are of another type. What was learned before
            stays as it was.
        """
        self._do_phase_one(interactions, valid, start, checkpoint, callback)
        if self._has_two_phases(self.matrix):
            self._read_histories()
        return self

    def fit_items(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Do phase one of `fit` alone, from which `fold_in` and `with_recency` make users."""
        self._do_phase_one(interactions, valid)
        return self

    def _do_phase_one(
        self,
        interactions: Interactions,
        valid: Interactions | None,
        start: BPR | None = None,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> None:
        if self.settings["patience"] and valid is None:
            raise ValueError("patience needs a validation part: pass valid=... to fit, or set patience=0.")
        matrix = as_matrix(interactions)
        if not matrix.csr.nnz:
            raise ValueError("There is no interaction to learn from: look at what was pruned or split away.")
        held_out = None if valid is None else _known_part(valid, matrix)
        state = self._train(matrix, held_out, start, checkpoint, callback)
        two_phases = self._has_two_phases(matrix)
        self._hold_items(matrix)
        self._hold(state.averaged if two_phases else state.best)
        self.history = pd.DataFrame(state.history)
        self.best_epoch = len(state.history) if two_phases else state.best_epoch

    def _has_two_phases(self, matrix: InteractionMatrix) -> bool:
        return self.recency > 0 and tells_late_from_early(matrix)

    def _train(
        self,
        matrix: InteractionMatrix,
        held_out: InteractionMatrix | None,
        start: BPR | None,
        checkpoint: str | Path | None,
        callback: Callback | None,
    ) -> Progress:
        from bpr_helpers import training
        from bpr_helpers.model import L2

        use = self.settings
        drawn = {name: use[name] for name in ("n_negatives", "temperature")}
        alike = {
            name: use[name] for name in ("item_bias", "epochs", "batch_size", "averaging", "patience", "seed")
        }
        tables = self._untrained(matrix).tables
        own = _as_json(use, but="epochs")
        if start is not None:
            tables = _continued(tables, matrix, start, use["item_bias"])
            own["start"] = hashlib.sha256(b"".join(map(np.ndarray.tobytes, tables))).hexdigest()
        kept = None
        if checkpoint is not None:
            kept = training.Checkpoint(Path(checkpoint), training.hash_of_training(own, matrix, held_out))
        return training.train(
            tables,
            matrix,
            make_sampler(use["sampler"], matrix, **drawn),
            optimizer=_optimizer(use["optimizer"], use["learning_rate"]),
            l2=L2(use["l2_user"], use["l2_pos"], use["l2_neg"], use["l2_bias"]),
            validate=None if held_out is None else Validation(matrix, held_out, use["seed"]),
            checkpoint=kept,
            callback=callback,
            verbose=self.verbose,
            **alike,
        )

    def _untrained(self, matrix: InteractionMatrix) -> BPRModel:
        from bpr_helpers.model import BPRModel

        made = {name: self.settings[name] for name in ("dim", "item_bias", "init_scale", "seed")}
        return BPRModel(matrix.n_users, matrix.n_items, **made)

    @property
    def keras_model(self) -> BPRModel:
        """The vectors and biases as a Keras model, made anew."""
        model = self._untrained(self.matrix)
        model.set_weights([self.user_vectors, self.item_vectors, self.item_biases])
        return model

    def _settings(self) -> dict[str, Any]:
        return self.settings

    @property
    def recency(self) -> float:
        """How much more late interactions say about a user, in phase two."""
        return float(self.settings["recency"])

    @recency.setter
    def recency(self, recency: float) -> None:
        self.settings = self.settings | {"recency": float(recency)}

    def _hold(self, tables: Tables) -> None:
        self.user_vectors, self.item_vectors, self.item_biases = tables

    def _read_histories(self) -> None:
        """Phase two."""
        use = self.settings
        self.user_vectors = solve_users(
            weighted_history(self.matrix, self.recency),
            self.item_vectors,
            self.item_biases,
            l2=max(use["l2_user"], LEAST_L2),
            temperature=use["temperature"],
            seed=use["seed"],
        )

    def _score(self, user_codes: NDArray[np.int64]) -> Vectors:
        return self.user_vectors[user_codes] @ self.item_vectors.T + self.item_biases

    def save(self, folder: str | Path) -> None:
        """Write the model, its ids, seen items, their times, parameters and history, without pickle.

        A model of users who were folded in is saved and loaded like any other.

        Parameters
        ----------
        folder : made where it is missing; model.keras in it is a model that Keras reads by itself

        Raises
        ------
        ValueError
            Nothing was fitted, or the optimizer is a class of your own, which `load` would not trust.
        """
        self._require_fitted("save")
        settings = _as_json(self.settings)
        if not _is_kerass_own(settings["optimizer"]):
            raise ValueError(
                f"The optimizer {type(self.settings['optimizer']).__name__} is none of Keras's own, and only "
                "those are saved: save the vectors by themselves, or fit with another optimizer."
            )
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("bpr.json", "times.parquet"):  # without the first, what is half written is no model
            (folder / name).unlink(missing_ok=True)
        self.keras_model.save(folder / "model.keras")
        pd.DataFrame({"user_id": self.matrix.user_ids}).to_parquet(folder / "users.parquet")
        items = pd.DataFrame({"item_id": self.matrix.item_ids, "n_users": self.item_counts})
        items.to_parquet(folder / "items.parquet")
        save_npz(folder / "seen.npz", self.matrix.csr)
        if self.matrix.times is not None:
            pd.DataFrame({"time": self.matrix.times}).to_parquet(folder / "times.parquet")
        self.history.to_parquet(folder / "history.parquet")
        with replacing(folder / "bpr.json") as new:
            saved = {"settings": settings, "best_epoch": self.best_epoch}
            new.write_text(json.dumps(saved, indent=2) + "\n", "utf-8")

    def export(self, folder: str | Path) -> None:
        """Write the vectors as tables for services in any language: Parquet, and how to score in a README.

        users.parquet has user_id, vector and n_seen, items.parquet item_id, vector, bias, n_users and
        tie_order, and seen.parquet the pairs of user_id and item_id that no list contains. README.md says
        how to make of them, with NumPy or SQL, the lists that `recommend` gives. A model of users who were
        folded in is exported like any other. `load` reads what `save` wrote, not this.

        Parameters
        ----------
        folder : made where it is missing; the four files in it are replaced together

        Raises
        ------
        ValueError
            Nothing was fitted, or ids are of several types, which no column of Parquet holds.
        """
        self._require_fitted("export")
        vectors = self.user_vectors, self.item_vectors, self.item_biases
        write_tables(Path(folder), self.matrix, *vectors, self.item_counts)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote. Nothing in the folder is executed, whoever wrote it.

        Raises
        ------
        ValueError
            The folder does not hold a whole model.
        """
        folder = Path(folder)
        try:
            saved = json.loads((folder / "bpr.json").read_text("utf-8"))
            bpr = cls(**saved["settings"] | {"optimizer": _from_json(saved["settings"]["optimizer"])})
            bpr._hold_items(_read_matrix(folder))
            bpr.item_counts = np.asarray(
                pd.read_parquet(folder / "items.parquet")["n_users"].astype(np.float32)
            )
            bpr._hold(_read_tables(folder / "model.keras", bpr.matrix, bpr.settings["dim"]))
            bpr.history = pd.read_parquet(folder / "history.parquet")
            bpr.best_epoch = int(saved["best_epoch"])
        except Exception as error:
            raise ValueError(
                f"{folder} does not hold a whole BPR model ({error}): fit and save it again."
            ) from error
        return bpr


def seconds_per_epoch(bpr: BPR, interactions: Interactions) -> float:
    """Fit, and give the seconds of the fastest epoch of phase one.

    The first epoch does not count: the training step is compiled in it.

    Parameters
    ----------
    bpr : BPR with two epochs at least, which is fitted
    interactions : what it is fitted on

    Raises
    ------
    ValueError
        There is only one epoch.
    """
    if bpr.settings["epochs"] < 2:
        raise ValueError("seconds_per_epoch: the first epoch does not count; give the model two or more.")
    ends: list[float] = []
    bpr.fit(interactions, callback=lambda *_: ends.append(time.perf_counter()))
    return float(np.diff(ends).min())


def _continued(fresh: Tables, matrix: InteractionMatrix, start: BPR, item_bias: bool) -> Tables:
    """Tables with the rows of `start` for the ids that it knows, and fresh ones for the others."""
    if not isinstance(start, BPR):
        raise ValueError(f"start is a {type(start).__name__}: give a fitted BPR.")
    start._require_fitted("passing it as start")
    dim, own = start.item_vectors.shape[1], fresh.items.shape[1]
    if dim != own:
        raise ValueError(f"start has vectors of length {dim}, and this BPR of {own}: make it with dim={dim}.")
    theirs = start.matrix
    users = _places(matrix.user_ids, theirs.user_ids, "user", some=False)
    items = _places(matrix.item_ids, theirs.item_ids, "item", some=True)
    return type(fresh)(
        _with_rows(fresh.users, users, start.user_vectors),
        _with_rows(fresh.items, items, start.item_vectors),
        _with_rows(fresh.biases, items, start.item_biases) if item_bias else fresh.biases,
    )


def _places(ids: np.ndarray, known: np.ndarray, what: str, *, some: bool) -> Codes:
    """Where the ids stand among the known ones, -1 for nowhere; `some` of one type must stand somewhere."""
    if some or pd.Index(ids).inferred_type != pd.Index(known).inferred_type:
        return meet(pd.Series(ids), known, what)
    return pd.Index(known).get_indexer(pd.Index(ids))


def _with_rows(table: Vectors, places: Codes, known: Vectors) -> Vectors:
    """A copy of a table (n, ...) with the row known[places[i]] as row i, where there is one."""
    table = np.array(table)
    table[places >= 0] = known[places[places >= 0]]
    return table


def _known_part(valid: Interactions, matrix: InteractionMatrix) -> InteractionMatrix:
    """The validation part in the codes of the training part."""
    if isinstance(valid, pd.DataFrame):
        valid = InteractionMatrix.from_frame(valid, like=matrix, unknown="drop")
    elif not (
        np.array_equal(valid.user_ids, matrix.user_ids) and np.array_equal(valid.item_ids, matrix.item_ids)
    ):
        raise ValueError(
            "The codes of valid are not those of the training part: pass the frame, or make the matrix "
            'with InteractionMatrix.from_frame(valid, like=train, unknown="drop").'
        )
    if not valid.csr.nnz:
        raise ValueError(
            "No interaction in valid has a user and an item of the training part: check the split."
        )
    return valid


def n_judges(n_items: int) -> int:
    """Say how many users are validated, at most: 10,000, and fewer where items are many.

    Their scores are 10^8 in number at most, lest judging an epoch take longer than training it. But 2,000
    users may judge in any case.

    Examples
    --------
    >>> n_judges(1_300), n_judges(20_000), n_judges(1_000_000)
    (10000, 5000, 2000)
    """
    return min(MOST_JUDGES, max(FEWEST_JUDGES, JUDGED // n_items))


class Validation:
    """NDCG@10 and pairwise accuracy on the validation part, for tables of vectors and biases.

    Parameters
    ----------
    seen, valid : InteractionMatrix of the same codes: what no list contains, and the relevant items
    seed : of the negatives of the accuracy, and of the users where there are more than `n_judges`
    """

    def __init__(self, seen: InteractionMatrix, valid: InteractionMatrix, seed: int) -> None:
        self.seen, self.valid = seen, valid
        rng = np.random.default_rng(seed)
        users = np.flatnonzero(np.diff(valid.csr.indptr))
        n_users = n_judges(valid.n_items)
        if users.size > n_users:
            users = np.sort(rng.choice(users, n_users, replace=False))
        self.users = users
        chosen = valid.csr[users]
        self.owners, self.positives = np.repeat(users, np.diff(chosen.indptr)), chosen.indices
        unseen = UnseenItems(InteractionMatrix(seen.user_ids[users], seen.item_ids, seen.csr[users]))
        places = np.searchsorted(users, self.owners)  # of these users alone: the others need no memory
        ranks = (rng.random(self.owners.size) * unseen.counts[places]).astype(np.int64)
        self.negatives = unseen.item(places, ranks)

    def __call__(self, tables: Tables) -> dict[str, float]:
        """Give valid_ndcg@10 and valid_accuracy."""
        user, item, bias = tables
        ndcg = mean_ndcg(
            lambda codes: user[codes] @ item.T + bias, self.seen, self.valid, 10, self.users, at_once=True
        )
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


def _read_matrix(folder: Path) -> InteractionMatrix:
    """What a saved model was fitted on."""
    users, items = (
        np.asarray(pd.read_parquet(folder / f"{name}.parquet").iloc[:, 0]) for name in ("users", "items")
    )
    with zipfile.ZipFile(folder / "seen.npz") as archive:
        refuse_larger(folder / "seen.npz", sum(member.file_size for member in archive.infolist()))
    csr = load_npz(folder / "seen.npz")
    if csr.shape != (len(users), len(items)):
        raise ValueError(f"seen.npz is of {csr.shape[0]} users and {csr.shape[1]} items, the ids are others")
    csr.check_format(full_check=True)  # indices outside of the matrix would be read outside of the memory
    place = folder / "times.parquet"
    times = np.asarray(pd.read_parquet(place)["time"]) if place.exists() else None
    if times is not None and len(times) != csr.nnz:
        raise ValueError("times.parquet has not one time for each seen item")
    return InteractionMatrix(users, items, csr, times)


def _read_tables(path: Path, matrix: InteractionMatrix, dim: int) -> Tables:
    """Read the weights of a .keras file and nothing else of it: what it says of classes is not followed."""
    import h5py

    from bpr_helpers.model import Tables

    def values(file: h5py.File, place: str, shape: tuple[int, ...]) -> Vectors:
        link, found = file.get(place, getlink=True), file.get(place)
        if not isinstance(link, h5py.HardLink) or not isinstance(found, h5py.Dataset):
            raise ValueError(f"{path.name} has no weights {place}")
        if found.is_virtual or found.external or (found.shape, found.dtype) != (shape, np.float32):
            raise ValueError(f"the weights {place} of {path.name} are not those of the ids and parameters")
        return found[()]

    with (
        zipfile.ZipFile(path) as archive,
        archive.open("model.weights.h5") as member,
        h5py.File(member) as file,
    ):
        shapes = (matrix.n_users, dim), (matrix.n_items, dim), (matrix.n_items,)
        return Tables(*(values(file, f"vars/{i}", shape) for i, shape in enumerate(shapes)))


def _as_json(settings: dict[str, Any], *, but: str = "") -> dict[str, Any]:
    """The settings in types that JSON has; an optimizer given as an object becomes its configuration."""
    chosen = {name: value for name, value in settings.items() if name != but}
    if not isinstance(chosen["optimizer"], str):
        import keras

        chosen["optimizer"] = keras.optimizers.serialize(chosen["optimizer"])
    return chosen


def _from_json(optimizer: Any) -> Any:
    """Make the optimizer that `_as_json` wrote: one of Keras's own, of which nothing else is imported."""
    if isinstance(optimizer, str):
        return optimizer
    import keras

    made = keras.optimizers.deserialize(optimizer) if _is_kerass_own(optimizer) else None
    if not isinstance(made, keras.optimizers.Optimizer):  # a schedule by itself, or a function
        raise ValueError("its optimizer is none of Keras's own")
    return made


def _is_kerass_own(part: Any) -> bool:
    """Whether all classes that a configuration names, however deep, are optimizers or schedules of Keras.

    Keras imports whatever module a configuration names, so this is asked before Keras sees it.
    """
    if isinstance(part, list | tuple):
        return all(map(_is_kerass_own, part))
    if not isinstance(part, dict):
        return True
    import keras

    homes = {
        "keras.optimizers": keras.optimizers,
        "keras.optimizers.schedules": keras.optimizers.schedules,
    }
    if "class_name" in part:
        named = getattr(homes.get(part.get("module", "")), part["class_name"], None)
        kinds = keras.optimizers.Optimizer, keras.optimizers.schedules.LearningRateSchedule
        if part.get("registered_name") or not (isinstance(named, type) and issubclass(named, kinds)):
            return False
    return all(map(_is_kerass_own, part.values()))
