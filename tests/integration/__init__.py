"""Tests against real PostgreSQL and RabbitMQ nodes."""
