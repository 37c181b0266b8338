"""Sends spans and metrics of a running job to an OpenTelemetry collector."""
