"""Kingdee over its WebAPI: the bills of an order, what each status asks of them, and how they are brought to it."""
