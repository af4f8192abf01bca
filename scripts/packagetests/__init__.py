"""Tests of the packages on systems that boot; scripts/test-packages runs them."""
