"""The clusters of a model as a page: how large and how certain each is, and what it is."""

from rancast.cluster_profiles import Cluster, Clusters
from rancast.markdown import Cell, code, escape, picture, table


def clusters_page(title: str, clusters: Clusters, whose: str, plot: bytes | None) -> str:
    """Return a page of markdown; `whose` is a sentence on whose clusters and numbers they are."""
    lines = [f"## {escape(title)}: clusters", "", escape(whose), ""]
    if plot is not None:
        lines += [picture(plot, "the day of each cluster"), ""]
    lines += table(
        ("cluster", "entities", "silhouette", "found again", "what it is"),
        [_row(cluster) for cluster in clusters.clusters],
        numbers="entities, silhouette, found again",
    )
    lines += [
        "",
        "*silhouette*: 1 is far from the next cluster, 0 on the border to it. *found again*: the "
        "share of a cluster (Jaccard) that a model of half of the entities finds, too; below 50 % "
        "it dissolves.",
        "",
        "### Who is in it",
        "",
    ]
    return "\n".join([*lines, *(_members(cluster) for cluster in clusters.clusters)])


def _row(cluster: Cluster) -> list[Cell]:
    again = "" if cluster.jaccard is None else f"{cluster.jaccard:.0%}"
    silhouette = f"{cluster.silhouette:.2f}"
    words = escape(cluster.words)
    return [f"**{cluster.label}**", cluster.entities, silhouette, again, words]


def _members(cluster: Cluster) -> str:
    names = ", ".join(code(name) for name in cluster.members) or "nobody most of the time"
    more = cluster.entities - len(cluster.members)
    return f"- cluster {cluster.label}: {names}" + (f", and {more:,} more" if more else "")
