# Shared by the scripts of this folder; sourced, not run.

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# packages PURPOSE NAME...: installs Debian packages, or says which ones to install.
packages() {
  local purpose=$1
  shift
  [ $# -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! has apt-get; then
    die "$purpose needs $*; install it, on Debian and Ubuntu with: sudo apt-get install $*"
  fi
  say "installing $* for $purpose"
  { apt_get update && apt_get install --no-install-recommends "$@"; } || die "apt-get could not install $*"
}

# apt_get ARG...: apt-get, quiet unless it fails. While another one works it waits, five minutes at most: apt-get's own timeout
# waits for dpkg's lock, but not for those of its lists and of its archive.
apt_get() {
  local began=$SECONDS out
  until out=$(LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=300 "$@" 2>&1); do
    if [[ $out != *"Could not get lock"* ]] || [ $((SECONDS - began)) -ge 300 ]; then
      tail -n 20 <<<"$out" >&2
      return 1
    fi
    sleep 2
  done
}
