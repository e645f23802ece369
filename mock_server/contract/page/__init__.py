"""The parts of the documentation page; :mod:`mock_server.contract.docs` puts them together."""
