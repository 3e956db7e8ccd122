"""What an event is and where it comes from: files, rows, splits and examples."""
