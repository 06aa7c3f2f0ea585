"""Fakes and builders that several test files share, a module for each thing they replace."""
