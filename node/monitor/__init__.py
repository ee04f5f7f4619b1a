"""Watches a running network: terminal view and report. No torch."""
