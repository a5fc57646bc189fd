"""Networks of the field, 2D and 3D, that methods share."""
