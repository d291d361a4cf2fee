"""Reports: pages of one file that show what a verb did, with pictures, charts and scores."""
