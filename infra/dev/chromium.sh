#!/usr/bin/env bash
# usage: chromium.sh install|check
# A browser for the dashboard's tests.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

browser() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable headless-shell; do
    if has "$name"; then
      echo "$name"
      return
    fi
  done
  return 1
}

case ${1:-} in
  install)
    browser >/dev/null || packages "the dashboard's tests" chromium fonts-dejavu-core
    browser >/dev/null || die "no Chromium or Chrome is on the PATH"
    ;;
  check)
    name=$(browser) || die "no Chromium or Chrome is on the PATH: infra/dev/chromium.sh install"
    page=$("$name" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --dump-dom 'data:text/html,<p>drawn</p>' 2>/dev/null) ||
      die "$name does not start"
    case $page in
      *drawn*) say "$name draws pages" ;;
      *) die "$name draws nothing" ;;
    esac
    ;;
  *) die "usage: chromium.sh install|check" ;;
esac
