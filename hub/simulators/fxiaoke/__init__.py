"""A CRM that speaks as 纷享销客 does: always HTTP 200, objects of every kind, and no uniqueness of anything."""
