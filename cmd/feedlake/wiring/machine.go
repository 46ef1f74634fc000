package wiring

import (
	"math"
	"runtime"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/feedlake/feedlake/cmd/feedlake/config"
)

// machine tells what this process may use: cores and memory of its container,
// where one limits them, else of the machine.
func machine() config.Machine {
	m := config.Machine{Cores: runtime.GOMAXPROCS(0)}
	least := uint64(math.MaxInt64)
	for _, limit := range []func() (uint64, error){memlimit.FromSystem, memlimit.FromCgroup} {
		if n, err := limit(); err == nil && n > 0 {
			least = min(least, n)
		}
	}
	if least < math.MaxInt64 {
		m.Memory = int64(least)
	}
	return m
}

// shareOut settles how much is done side by side, and the memory for it.
func (a *App) shareOut(m config.Machine) {
	n, note := a.Config.AtOnce(m)
	if note != "" {
		a.Log.Warn("parallel was reduced", "reason", note)
	}
	a.parallel = n
	a.Config.Engine.Memory = a.Config.EngineMemory(n, m)
}
