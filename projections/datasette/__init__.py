"""The Datasette plugin: tables that people can read, reports, and the routes of our own pages."""
