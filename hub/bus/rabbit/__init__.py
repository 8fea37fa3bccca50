"""The bus on RabbitMQ, 3.10 to 4.x. The only room that knows pika.

Each publisher and each subscription has a connection and a thread of its own, and no other thread touches that
connection; everybody else hands it callbacks.
"""
