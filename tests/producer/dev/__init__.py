"""Tests of development on this machine."""
