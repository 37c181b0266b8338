"""The Datasette plugin: how tables are shown, reports, and the routes of orc's own pages."""
