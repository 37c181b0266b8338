"""The page of the charts of a project, and their downloads."""

from __future__ import annotations

import sqlite3
from typing import Any

from orc.projections.charts.charts import Chart, build_charts
from orc.projections.charts.project import JOBS_MAX, read_project
from orc.projections.pages.links import Links


def read_charts(connection: sqlite3.Connection, name: str, links: Links) -> dict[str, Any] | None:
    """The values of the template `charts.html`; None if no job has this project."""
    project = read_project(connection, name)
    if not project.jobs:
        return None
    return {
        "project": name,
        "jobs": project.jobs,
        "jobs_max": JOBS_MAX,
        "charts": build_charts(project, links.job),
        "links": links,
    }


def read_chart(connection: sqlite3.Connection, name: str, chart: str) -> Chart | None:
    """One chart without links; None if there is no such project or chart."""
    project = read_project(connection, name)
    charts = build_charts(project, lambda _: "") if project.jobs else []
    return next((one for one in charts if one.name == chart), None)
