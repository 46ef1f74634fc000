package schedules

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestAlive(t *testing.T) {
	gone := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	me := self()
	if me.boot == "" || me.born == "" {
		t.Fatalf("what /proc tells is missing: %+v", me)
	}
	old, fresh := 2*time.Minute, 10*time.Second
	for name, c := range map[string]struct {
		change func(*Holder)
		silent time.Duration
		want   bool
	}{
		"this process":             {func(*Holder) {}, fresh, true},
		"silent but alive":         {func(*Holder) {}, old, true},
		"ended":                    {func(h *Holder) { h.PID = gone.Process.Pid }, fresh, false},
		"its pid used again":       {func(h *Holder) { h.born = "1" }, fresh, false},
		"pid in use by whom":       {func(h *Holder) { h.born = "" }, fresh, true},
		"pid in use by whom, old":  {func(h *Holder) { h.born = "" }, old, false},
		"other host":               {func(h *Holder) { h.Host = "x"; h.PID = gone.Process.Pid }, fresh, true},
		"other host, old":          {func(h *Holder) { h.Host = "x" }, old, false},
		"before the restart":       {func(h *Holder) { h.boot = "x" }, old, false},
		"container with this name": {func(h *Holder) { h.boot = "x" }, fresh, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := me
			c.change(&h)
			now := at("2016-10-06T10:15:00Z")
			if got := h.alive(me, now.Add(-c.silent), now, time.Minute); got != c.want {
				t.Errorf("alive %v, want %v", got, c.want)
			}
		})
	}
}
