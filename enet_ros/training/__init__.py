"""Training and scoring on data sets; needs the extra train."""
