"""The supervisor process and what it decides. Imports nothing, so that heart stays small."""
