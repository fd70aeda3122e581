"""Tests of telling news."""
