"""Where graphs live between runs: an embedded file or a Neo4j, behind one protocol."""
