"""A recorder between a client and a gateway: passes calls through, checks both sides, and learns a world."""
