"""Tests of recurring mail."""
