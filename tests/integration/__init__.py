"""Tests that run the whole of it: producer, Redis, a real worker process, a real SMTP server."""
