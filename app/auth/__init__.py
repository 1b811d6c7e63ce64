"""Authentication: from the credential of a request to the principal that the engine asks for."""
