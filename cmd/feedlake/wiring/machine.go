package wiring

import (
	"runtime"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/feedlake/feedlake/cmd/feedlake/config"
)

// machine tells what this process may use: cores and memory of its container,
// where one limits them, else of the machine.
func machine() config.Machine {
	m := config.Machine{Cores: runtime.GOMAXPROCS(0)}
	if n, err := memlimit.FromSystem(); err == nil {
		m.Memory = int64(n)
	}
	if n, err := memlimit.FromCgroup(); err == nil && n > 0 && (m.Memory == 0 || int64(n) < m.Memory) {
		m.Memory = int64(n)
	}
	return m
}

// shareOut settles how much is done side by side, and the memory for it.
func (a *App) shareOut(m config.Machine) {
	n, note := a.Config.AtOnce(m)
	if note != "" {
		a.Log.Warn(note)
	}
	a.parallel = n
	a.Config.Engine.Memory = a.Config.EngineMemory(n, m)
}
