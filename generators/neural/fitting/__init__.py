"""Fitting a LoRA to clips of one's own."""
