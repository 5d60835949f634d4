"""Where a pixel looks and where the camera is, and whether both can be true."""
