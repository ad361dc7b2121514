"""Image-to-video models through diffusers, behind one small interface."""
