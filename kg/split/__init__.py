"""What is held out: splits by time, by last event, by group, and of a catalogue."""
