# How the scripts of servers that are Go modules build, start and stop them; sourced after lib.sh, not run.

# go_program MODULE/PACKAGE@VERSION TARGET: builds a program once per version, without the project's C flags.
go_program() {
  [ ! -x "$2" ] || return 0
  has go || die "building $(basename "$2") needs Go: https://go.dev/dl"
  mkdir -p "$(dirname "$2")"
  local tmp
  tmp=$(mktemp -d "$(dirname "$2")/build.XXXXXX")
  say "building $(basename "$2") (some minutes, once)"
  if ! env -u CGO_CFLAGS -u CGO_LDFLAGS GOFLAGS=-trimpath GOBIN="$tmp" go install "$1"; then
    rm -rf "$tmp"
    die "$1 did not build"
  fi
  mv "$tmp"/* "$2"
  rmdir "$tmp"
}

# answers PORT PATH: whether a server on this machine answers 200.
answers() {
  local line
  { exec 9<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
  printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$2" >&9
  IFS= read -r -t 2 line <&9 || line=
  exec 9>&- 9<&-
  [[ $line == *' 200 '* ]]
}

# running DIR PROGRAM: whether the process of DIR/pid lives and is that program; pids come again.
running() {
  local pid args
  pid=$(cat "$1/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  args=$({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null) || args=$(ps -o args= -p "$pid" 2>/dev/null) || return 1
  [[ $args == "$2 "* ]]
}

# serve DIR PORT PATH PROGRAM ARG...: starts a server, its log in DIR/log, and waits until it answers.
serve() {
  local dir=$1 port=$2 path=$3 name
  shift 3
  name=$(basename "$1")
  if running "$dir" "$1"; then
    say "$name runs already on 127.0.0.1:$port"
    return
  fi
  ! answers "$port" "$path" || die "port $port is taken by another server"
  mkdir -p "$dir/data"
  local detached=(nohup)
  if has setsid; then detached=(setsid nohup); fi # out of reach of a Ctrl-C for make
  "${detached[@]}" "$@" >"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  local i
  for ((i = 0; i < 300; i++)); do
    if answers "$port" "$path"; then
      say "$name runs on 127.0.0.1:$port"
      return
    fi
    running "$dir" "$1" || [ "$i" -lt 10 ] || break
    sleep 0.1
  done
  die "$name did not start: $(tail -n 5 "$dir/log")"
}

# unserve DIR PROGRAM: stops it, and waits for its end.
unserve() {
  local i pid
  if ! running "$1" "$2"; then
    rm -f "$1/pid"
    say "$(basename "$2") did not run"
    return
  fi
  pid=$(cat "$1/pid")
  kill "$pid"
  for ((i = 0; i < 100; i++)); do
    if ! running "$1" "$2"; then
      rm -f "$1/pid"
      return
    fi
    sleep 0.1
  done
  kill -9 "$pid"
  rm -f "$1/pid"
}
