"""The single writer of orders: every change is one transaction that ends with a row in the outbox."""
