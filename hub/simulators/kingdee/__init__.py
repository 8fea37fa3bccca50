"""金蝶云星空 (Kingdee Cloud Galaxy): its WebAPI, as the vendor's pages and its Python SDK 8.2.0 tell it."""
