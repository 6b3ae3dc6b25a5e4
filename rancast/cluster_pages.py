"""The clusters of a model as a page: how large and how certain each is, and what it is."""

from rancast.cluster_profiles import Cluster, Clusters
from rancast.markdown import Cell, code, escape, picture, table


def whose_letters(candidate: str, use_case: str) -> str:
    """Say what letters are, and where the numbers stand that clusters keep."""
    return (
        f"Letters are the own labels of {candidate}, A for its label 0; the numbers that clusters "
        f"keep come with a promotion and stand on the page clusters-{use_case} in Prefect and, as "
        "the tag rancast.label_map, at the champion's version in MLflow."
    )


def clusters_page(title: str, clusters: Clusters, whose: str, plot: bytes | None) -> str:
    """Return a page of markdown; `whose` is a sentence on whose clusters and numbers they are."""
    lines = [f"## {escape(title)}: clusters", "", escape(whose), ""]
    if plot is not None:
        lines += [picture(plot, "the day of each cluster"), ""]
    lines += table(
        ("cluster", "entities", "silhouette", "found again", "what it is"),
        [_row(clusters.name(cluster), cluster) for cluster in clusters.clusters],
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
    members = [_members(clusters.name(cluster), cluster) for cluster in clusters.clusters]
    return "\n".join([*lines, *members])


def _row(name: str, cluster: Cluster) -> list[Cell]:
    again = "" if cluster.jaccard is None else f"{cluster.jaccard:.0%}"
    silhouette = f"{cluster.silhouette:.2f}"
    words = escape(cluster.words)
    return [f"**{name}**", cluster.entities, silhouette, again, words]


def _members(name: str, cluster: Cluster) -> str:
    names = ", ".join(code(member) for member in cluster.members) or "nobody most of the time"
    more = cluster.entities - len(cluster.members)
    return f"- cluster {name}: {names}" + (f", and {more:,} more" if more else "")
