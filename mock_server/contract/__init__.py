"""The contract as tables; responses, OpenAPI, documentation and tests derive from them."""
