"""Simulated video of people at a table: hands of capsules over textured scenes, seen by a head that moves."""
