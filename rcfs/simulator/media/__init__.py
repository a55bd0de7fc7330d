"""The bytes of contents: sound, pictures, faxes, recordings."""
