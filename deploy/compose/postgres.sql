-- Once, in an empty database server: the hub's database and the login that owns it, which may do nothing beside.
\set word `cat /run/secrets/hub-password`
CREATE ROLE hub LOGIN PASSWORD :'word';
CREATE DATABASE hub OWNER hub ENCODING 'UTF8' TEMPLATE template0;
