"""What each task trains, validates, predicts and compares against."""
