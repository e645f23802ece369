"""The API's documentation page, made from the contract's tables; :mod:`mock_server.page.document` puts it together."""
