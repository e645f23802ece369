"""One exchange without clock or network: what is checked in which order, every byte that leaves, and when.

Whoever plays an exchange, in real time or in virtual time, tells the time and does what is asked; all else is decided
here, so that the same call gets the same bytes whoever plays it.
"""
