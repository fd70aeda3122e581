"""All that touches Redis: publishing a delivery, reading its result back, and the keys both are kept under.

This package knows ids, queues and sealed bytes; it cannot open them and knows nothing of mail. The producer and the
worker both import it; it imports only the contract.
"""
