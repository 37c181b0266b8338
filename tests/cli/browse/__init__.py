"""Tests of the server of `orc browse`."""
