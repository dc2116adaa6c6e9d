"""What users check their own parts with: reference vectors."""
