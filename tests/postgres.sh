#!/bin/sh
# PostgreSQL for the tests of what is kept, where this machine lets us have it; without it those tests skip and say so.
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
fi || echo "PostgreSQL could not be installed: its tests will skip."
