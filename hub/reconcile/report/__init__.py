"""What a run found, as one document (`model`), and its renderings for people: HTML, XLSX, CSV, a card of one screen."""
