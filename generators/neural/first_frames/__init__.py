"""Where clips begin: steps of recorded episodes, simulated scenes, folders of images; one view or four in a grid."""
