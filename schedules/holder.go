package schedules

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Holder is the process that runs a run.
type Holder struct {
	Host string
	PID  int

	boot string // names the running kernel and the space of process ids; empty when not known
	born string // start of the process, so that a reused PID is seen; empty when not known
}

func (h Holder) String() string { return fmt.Sprintf("process %d on %s", h.PID, h.Host) }

// self describes this process. What the system does not tell stays empty.
func self() Holder {
	h := Holder{PID: os.Getpid(), Host: "unknown"}
	if name, err := os.Hostname(); err == nil {
		h.Host = name
	}
	// Two containers of one machine share the boot id but not the process ids.
	id, idErr := os.ReadFile("/proc/sys/kernel/random/boot_id")
	space, spaceErr := os.Readlink("/proc/self/ns/pid")
	if idErr == nil && spaceErr == nil {
		h.boot = strings.TrimSpace(string(id)) + " " + space
	}
	h.born, _ = birth(h.PID)
	return h
}

// alive reports whether the process h, last heard of at beat, still lives as
// seen from the process me at now. On one machine the process table answers at
// once; elsewhere only the lease does.
func (h Holder) alive(me Holder, beat, now time.Time, lease time.Duration) bool {
	fresh := now.Sub(beat) < lease
	if h.boot != me.boot || h.Host != me.Host {
		return fresh
	}
	p, err := os.FindProcess(h.PID)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	err = p.Signal(syscall.Signal(0))
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	born, dead := birth(h.PID)
	switch {
	case dead:
		return false
	case h.born == "" || born == "": // the PID is in use, by whom is not known
		return fresh
	}
	return born == h.born
}

// birth reads from Linux's /proc when a process began, in ticks since boot, and
// whether it is dead and only waits for its parent. Format: proc(5), fields 3
// and 22, after a name in parentheses that may hold anything.
func birth(pid int) (born string, dead bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false
	}
	_, rest, ok := strings.Cut(string(b[max(0, strings.LastIndexByte(string(b), ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return "", false
	}
	return fields[19], fields[0] == "Z" || fields[0] == "X"
}
