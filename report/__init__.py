"""What came of a run or of a study, as one page that opens anywhere. Reads what they left behind; runs nothing anew."""
