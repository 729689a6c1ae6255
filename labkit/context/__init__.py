"""What a conversation becomes: windows, summaries, sessions and the archive of what is over."""
