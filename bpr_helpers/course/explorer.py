"""A window into fitted models: somebody's history and lists, why, and what lies near an item on the map.

`Shelf` answers the questions, without any widget; `explore` puts controls in front of it. Where there is no
kernel, or where TQDM_DISABLE is set as for bars, a table and a picture of one state stand in their place.
"""

from __future__ import annotations

import base64
import copy
import html
import io
import os
from collections.abc import Iterable, Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib import pyplot as plt

from bpr_helpers.history import FromHistories
from bpr_helpers.plots import embedding_map
from bpr_helpers.recommend import because_you_liked, recommend, rerank, short_title, similar_items

NEWCOMER = "newcomer"
MATCHES, ON_MAP, WIDTH = 20, 300, 46  # matches of a search, items on the map, letters of a title
CELL = "text-align:left;line-height:1.5;padding:0 .8em 0 0"
CAPTION = "text-align:left;white-space:nowrap;font-weight:bold"
VIEW = "application/vnd.jupyter.widget-view+json"


class Shelf:
    """Models with what they were fitted on, and answers about single users and items.

    Parameters
    ----------
    models : dict, name -> fitted model; all know the same items
    interactions : DataFrame, the histories: user_id, item_id and, for recency, timestamp
    items : DataFrame with item_id and title; items without a title show their id

    Raises
    ------
    ValueError
        There is no model, one is not fitted, or they know other items than the first.
    """

    def __init__(
        self, models: Mapping[str, FromHistories], interactions: pd.DataFrame, items: pd.DataFrame
    ) -> None:
        if not models:
            raise ValueError("There is no model to explore: pass one or more by name, such as {'BPR': bpr}.")
        for name, model in models.items():
            if not hasattr(model, "matrix"):
                raise ValueError(f"{name} is not fitted: fit it before you explore it.")
            if model.matrix.n_items != next(iter(models.values())).matrix.n_items:
                raise ValueError(f"{name} knows other items than the first model: fit all on the same data.")
        self.models = dict(models)
        self.matrix = next(iter(models.values())).matrix
        self.vectors = next((m.item_vectors for m in models.values() if hasattr(m, "item_vectors")), None)
        self.interactions = interactions
        ids = pd.Index(self.matrix.item_ids)
        known = (
            pd.Series(dtype=object) if items.empty else items.drop_duplicates("item_id").set_index("item_id")
        )
        found = known["title"].reindex(ids) if "title" in known else pd.Series(index=ids, dtype=object)
        self.titles = found.where(found.notna(), pd.Series(ids.astype(str), ids)).astype(str)
        self._users = np.sort(pd.Index(self.matrix.user_ids).astype(str).to_numpy(str))
        self._places = interactions.groupby("user_id", sort=False).indices

    def users(self, text: str) -> list[str]:
        """First users, as text, whose id begins with a text."""
        start = int(np.searchsorted(self._users, text))
        some = self._users[start : start + MATCHES].tolist()
        return [user for user in some if user.startswith(text)]

    def search(self, text: str) -> list[tuple[str, Any]]:
        """Titles that contain a text, in upper or lower case, with the ids of their items."""
        hits = self.titles[self.titles.str.contains(text, case=False, regex=False)].head(MATCHES)
        short = [short_title(title, WIDTH) for title in hits]
        return [
            (f"{title} #{item}" if short.count(title) > 1 else title, item)
            for title, item in zip(short, hits.index, strict=True)
        ]

    def history(self, user: str) -> pd.DataFrame:
        """Rows of a user, the latest first."""
        code = int(self.matrix.user_codes([user])[0])
        user_id = self.matrix.user_ids[code]
        rows = self.interactions.iloc[self._places.get(user_id, [])]
        return rows.sort_values("timestamp", kind="stable")[::-1] if "timestamp" in rows else rows

    def picked(self, chosen: Iterable[Any]) -> pd.DataFrame:
        """Rows of a newcomer who chose these items one after the other, the latest first."""
        rows = pd.DataFrame({"user_id": NEWCOMER, "item_id": list(chosen)})
        return rows.assign(timestamp=pd.to_datetime(np.arange(len(rows)), unit="D"))[::-1]

    def shown(
        self, name: str, history: pd.DataFrame, *, n: int, recency: float, popularity: float
    ) -> pd.DataFrame:
        """List items for a history, each with the item of the history that speaks most for it.

        Parameters
        ----------
        name : of a model
        history : DataFrame of one user
        n : int >= 1, length of the list
        recency : float, 0 to 100, how much more late choices say
        popularity : float >= 0, what popularity costs

        Returns
        -------
        DataFrame, indexed by rank: item_id, title, because
        """
        served = copy.copy(self.models[name])
        if hasattr(served, "recency"):
            served.recency = recency
        served = served.fold_in(history, strangers="popular")
        user = served.matrix.user_ids[0]
        how: dict[str, Any] = {"diversity": 0.0, "popularity": popularity}
        found = rerank(served, user, n=n, **how) if popularity else recommend(served, user, n=n)
        why = [self._reason(served, user, item) for item in found["item_id"]]
        return found[["item_id"]].assign(title=found["item_id"].map(self.titles), because=why)

    def _reason(self, served: FromHistories, user: Any, item: Any) -> str:
        try:
            reasons = because_you_liked(served, user, item, n=1)
        except ValueError:  # a model that cannot compare items
            return ""
        return reasons["item_id"].map(self.titles).iloc[0] if len(reasons) else ""

    def near(self, name: str, item: Any, n: int = 8) -> pd.DataFrame:
        """Items like one, indexed by rank: item_id, title; none where the model cannot compare items."""
        try:
            found = similar_items(self.models[name], item, n=n)
        except ValueError:
            return pd.DataFrame(columns=["item_id", "title"])
        return found[["item_id"]].assign(title=found["item_id"].map(self.titles))

    def map(self, item: Any = None) -> tuple[np.ndarray, np.ndarray] | None:
        """Codes (m,) and places (m, 2) of the most popular items, and of one, on the first model's plane.

        None where no model has item vectors of two coordinates or more, or there are fewer than three items.
        """
        vectors = self.vectors
        if vectors is None or vectors.shape[1] < 2 or len(vectors) < 3:
            return None
        counts = next(iter(self.models.values())).item_counts
        codes = np.argsort(-counts, kind="stable")[:ON_MAP]
        if item is not None:
            codes = np.union1d(codes, self.matrix.item_codes([item]))
        if not hasattr(self, "_axes"):
            centered = vectors - vectors.mean(axis=0)
            self._middle, self._axes = (
                vectors.mean(axis=0),
                np.linalg.svd(centered, full_matrices=False)[2][:2],
            )
        return codes, (vectors[codes] - self._middle) @ self._axes.T


def table(rows: pd.DataFrame, caption: str, marked: Iterable[Any] = ()) -> str:
    """Write rows with a title as a table of HTML; those that are marked stand in bold with a star."""
    marked = {*marked}
    heads = [str(column) for column in rows if column != "item_id"]
    lines = []
    for rank, row in rows.iterrows():
        star = row["item_id"] in marked
        cells = [html.escape(short_title(value, WIDTH)) for value in row.loc[heads]]
        if star:
            cells[0] = f"<b>{cells[0]} ★</b>"
        lines.append("".join(f"<td style='{CELL}'>{cell}</td>" for cell in (rank, *cells)))
    head = "".join(f"<th scope='col' style='{CELL}'>{html.escape(one)}</th>" for one in ("", *heads))
    body = "".join(f"<tr>{line}</tr>" for line in lines) or "<tr><td>nothing</td></tr>"
    said = f"<caption style='{CAPTION}'>{html.escape(caption)}</caption>"
    return f"<table style='align-self:start'>{said}<tr>{head}</tr>{body}</table>"


def drawn(shelf: Shelf, item: Any, near: Iterable[Any]) -> str:
    """Draw the map as SVG: popular items in gray, those near an item in blue, itself in red."""
    found = shelf.map(item)
    if found is None:
        return "<p>No model here has vectors that could be drawn.</p>"
    codes, places = found
    low, span = places.min(axis=0), np.maximum(np.ptp(places, axis=0), 1e-9)
    xs, ys = (20 + 360 * (places - low) / span).T
    blue = {*shelf.matrix.item_codes(pd.Series(list(near), dtype=object)).tolist()}
    own = int(shelf.matrix.item_codes([item])[0])
    dots, names = [], []
    for code, x, y in zip(codes.tolist(), xs, 400 - ys, strict=True):
        color, size = ("#D55E00", 6) if code == own else ("#0072B2", 5) if code in blue else ("#BBBBBB", 3)
        title = html.escape(str(shelf.titles.iloc[code]))
        dots.append(
            f"<circle cx='{x:.0f}' cy='{y:.0f}' r='{size}' fill='{color}'><title>{title}</title></circle>"
        )
        if code == own or code in blue:
            names.append(
                f"<text x='{x + 7:.0f}' y='{y + 4:.0f}' font-size='11'>{short_title(title, 24)}</text>"
            )
    label = html.escape(f"Map of {len(codes)} items around {shelf.titles[item]}")
    opened = f"<svg role='img' aria-label='{label}' viewBox='0 0 480 420' width='480' height='420'>"
    return f"{opened}{''.join(dots)}{''.join(names)}</svg>"


class Explorer(widgets.VBox):
    """Controls in front of a `Shelf`, each with a label.

    All are fields to write in, or buttons: from a list of choices JupyterLab would take the arrow keys.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.who, self.chosen = shelf.users("")[0], list[Any]()
        self._found = dict(shelf.search(""))
        first, self.what = next(iter(self._found.items()))
        names, wide = list(shelf.models), widgets.Layout(width="340px")
        look: dict[str, Any] = {"layout": wide, "style": {"description_width": "120px"}}
        self.user = widgets.Combobox(value=self.who, options=shelf.users(""), description="User", **look)
        self.item = widgets.Combobox(value=first, options=[*self._found], description="Item", **look)
        self.pick = widgets.Button(description="Newcomer chooses this item", layout=wide)
        self.clear = widgets.Button(description="Back to the user", layout=wide)
        self.model = widgets.Combobox(value=names[0], options=names, description="Model", **look)
        self.other = widgets.Combobox(options=names, description="Compare with", **look)
        self.n = widgets.BoundedIntText(10, min=1, max=50, description="Items", **look)
        recency = float(getattr(shelf.models[names[0]], "recency", 0.0))
        self.recency = widgets.BoundedFloatText(
            recency, min=0, max=100, step=1, description="Recency", **look
        )
        self.popularity = widgets.BoundedFloatText(
            0, min=0, max=2, step=0.1, description="Popularity costs", **look
        )
        self.note, self.lists, self.around = widgets.HTML(), widgets.HTML(), widgets.HTML()
        left = widgets.VBox([self.user, self.item, self.pick, self.clear])
        right = widgets.VBox([self.model, self.other, self.n, self.recency, self.popularity])
        super().__init__([widgets.HBox([left, right]), self.note, self.lists, self.around])
        self.user.observe(lambda change: self._ask_for_user(change["new"]), "value")
        self.item.observe(lambda change: self._ask_for_item(change["new"]), "value")
        for control in (self.model, self.other, self.n, self.recency, self.popularity):
            control.observe(lambda _: self.refresh(), "value")
        self.pick.on_click(lambda _: self._choose([*self.chosen, self.what]))
        self.clear.on_click(lambda _: self._choose([]))
        self.refresh()

    def _ask_for_user(self, text: str) -> None:
        found = self.shelf.users(text)
        self.user.options = found
        self.note.value = "" if found else f"No user's id begins with {html.escape(text)}."
        if text in found:
            self.who = text
            self.refresh()

    def _ask_for_item(self, text: str) -> None:
        known, self._found = self._found, dict(self.shelf.search(text))
        self.item.options = [*self._found]
        if text in known | self._found:
            self.what = (known | self._found)[text]
            self._show_around()
        elif not self._found:
            self.note.value = f"No title contains {html.escape(text)}."

    def _choose(self, chosen: list[Any]) -> None:
        self.chosen = list(dict.fromkeys(chosen))
        self.refresh()

    def _asked(self) -> list[str]:
        """Names of the models to show, the first of all where none is written."""
        written = [name for name in (self.model.value, self.other.value) if name in self.shelf.models]
        return list(dict.fromkeys(written)) or [next(iter(self.shelf.models))]

    def refresh(self) -> None:
        """Make the lists anew."""
        shelf = self.shelf
        history = shelf.picked(self.chosen) if self.chosen else shelf.history(self.who)
        how = {"n": self.n.value, "recency": self.recency.value, "popularity": self.popularity.value}
        found = {name: shelf.shown(name, history, **how) for name in self._asked()}
        who = "The newcomer" if self.chosen else f"User {self.who}"
        self.now = {f"{who} chose": history["item_id"].map(shelf.titles).tolist()[: self.n.value]}
        self.now |= {f"{name} lists": rows["title"].tolist() for name, rows in found.items()}
        recent = history[["item_id"]].assign(title=history["item_id"].map(shelf.titles)).head(self.n.value)
        parts = [table(recent.set_axis(range(1, len(recent) + 1)), f"{who} chose, the latest first")]
        for name, rows in found.items():
            others = {i for other, them in found.items() if other != name for i in them["item_id"]}
            only = {*rows["item_id"]} - others if len(found) > 1 else ()
            told = f"{name} lists" + (" (★: only here)" if len(found) > 1 else "")
            parts.append(table(rows, told, only))
        self.lists.value = f"<div style='display:flex;gap:2em;flex-wrap:wrap'>{''.join(parts)}</div>"
        self._show_around()

    def _show_around(self) -> None:
        item, model = self.what, self._asked()[0]
        near = self.shelf.near(model, item)
        told = table(near, f"Near {short_title(self.shelf.titles[item], WIDTH)}, says {model}")
        picture = drawn(self.shelf, item, near["item_id"])
        self.around.value = f"<div style='display:flex;gap:2em;flex-wrap:wrap'>{told}{picture}</div>"

    def still(self) -> tuple[pd.DataFrame, Any]:
        """Give what is shown now without a kernel: the lists as a DataFrame, and the map's figure or None."""
        columns = {name: pd.Series(titles, dtype=object) for name, titles in self.now.items()}
        frame = pd.DataFrame(columns).fillna("").map(lambda title: short_title(title, WIDTH))
        frame = frame.set_axis(range(1, len(frame) + 1))
        found, vectors = self.shelf.map(self.what), self.shelf.vectors
        if found is None or vectors is None:
            return frame, None
        codes = found[0]
        near = [self.what, *self.shelf.near(self._asked()[0], self.what, 5)["item_id"]]
        named = dict(zip(self.shelf.matrix.item_codes(pd.Series(near, dtype=object)), near, strict=True))
        labels = {n: short_title(self.shelf.titles[named[c]], 24) for n, c in enumerate(codes) if c in named}
        title = f"Near {short_title(self.shelf.titles[self.what], 30)} on the map"
        return frame, embedding_map(vectors[codes], labels=labels, title=title).figure

    def _ipython_display_(self) -> None:
        frame, figure = self.still()
        if os.environ.get("TQDM_DISABLE"):
            display(frame)
            if figure is not None:
                display(figure)
                plt.close(figure)
            return
        page = frame.to_html()
        if figure is not None:
            picture = io.BytesIO()
            figure.savefig(picture, format="png")
            plt.close(figure)
            code = base64.b64encode(picture.getvalue()).decode()
            page += f"<img alt='The map around {html.escape(self.shelf.titles[self.what])}' "
            page += f"src='data:image/png;base64,{code}'>"
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        display({VIEW: view, "text/html": page, "text/plain": frame.to_string()}, raw=True)


def explore(models: Mapping[str, FromHistories], interactions: pd.DataFrame, items: pd.DataFrame) -> Explorer:
    """Look into fitted models: histories and lists side by side, with reasons; items, and what is near them.

    Parameters
    ----------
    models, interactions, items : as in `Shelf`

    Returns
    -------
    Explorer
        a widget; without a kernel its table and picture stand in its place

    Raises
    ------
    ValueError
        As in `Shelf`.

    Examples
    --------
    >>> from bpr_helpers import EASE
    >>> rows = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": ["a", "b", "b", "c"]})
    >>> explore({"EASE": EASE().fit(rows)}, rows, pd.DataFrame()).shelf.users("")
    ['1', '2']
    """
    return Explorer(Shelf(models, interactions, items))
