"""The public data sets, their benchmark runs and the tables written from them."""
