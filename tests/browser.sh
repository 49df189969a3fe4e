#!/bin/sh
# Chromium for the end-to-end tests, where this machine lets us have it; without it those tests skip and say so.
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-cjk >/dev/null
fi || echo "Chromium could not be installed: the browser tests will skip."
