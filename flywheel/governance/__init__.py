"""What keeps people's data in: personal data found and masked, attempts on the instructions seen."""
