"""The results of a run or of a study, as one page that opens anywhere, made of their records alone."""
