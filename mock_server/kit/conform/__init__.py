"""Does a gateway, mock or real, keep the contract? Asks it, judges the answers clause by clause, and says so."""
