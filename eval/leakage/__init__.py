"""Does a graph give the held-out items away?"""
