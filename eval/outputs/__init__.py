"""What a gate found, in every form that is read: terminal, JSON, JUnit XML, Markdown, HTML."""
