"""New scans: from a finished run's weights and a folder of images to label maps and pictures."""
