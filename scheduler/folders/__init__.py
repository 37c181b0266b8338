"""The folders of attempts: private and shared ones, what was made in them, and the folder of a spec."""
