"""The pages with forms that act on jobs and start specs, if the server allows actions."""
