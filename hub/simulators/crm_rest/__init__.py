"""A CRM in the style of Salesforce: records upserted by external id, read back with SOQL."""
