"""The control plane under `/__mock__/`: what the mock saw, what it holds, and what is to happen."""
