-- Filled in by the worker, some time after a product was added.
ALTER TABLE products ADD COLUMN slug text;
