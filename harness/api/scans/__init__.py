"""Files of scans: voxels as they lie, and what a header says of where they lie."""
