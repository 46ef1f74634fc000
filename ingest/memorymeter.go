package ingest

import (
	"context"
	"sync"
	"time"
)

// MemoryMeter is a Meter of one process, for tests and for what needs no
// history.
type MemoryMeter struct {
	now     func() time.Time
	budgets map[string]Budget // by credential

	mu     sync.Mutex
	days   map[account]Use
	limits map[[2]string]Limit // by credential and endpoint
}

// account is what a credential used in a period, such as "2026-11" or "2026-11-23".
type account struct{ credential, period string }

// NewMemoryMeter returns a meter that has counted nothing.
func NewMemoryMeter(now func() time.Time, budgets map[string]Budget) *MemoryMeter {
	return &MemoryMeter{now: now, budgets: budgets, days: map[account]Use{}, limits: map[[2]string]Limit{}}
}

// Reserve implements Meter.
func (m *MemoryMeter) Reserve(_ context.Context, at time.Time, credential, endpoint string, use Use) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := [2]string{credential, endpoint}
	if l, ok := m.limits[of]; ok && m.now().Before(l.Reset) {
		if l.Remaining < use.Requests {
			return l.Reset, nil
		}
		l.Remaining -= use.Requests
		m.limits[of] = l
	}
	day, month := m.days[account{credential, Day(at)}], m.days[account{credential, Month(at)}]
	if err := m.budgets[credential].Check(credential, day, month, use, at); err != nil {
		return time.Time{}, err
	}
	m.add(credential, at, use)
	return time.Time{}, nil
}

// Settle implements Meter.
func (m *MemoryMeter) Settle(_ context.Context, at time.Time, credential string, difference Use) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(credential, at, difference)
	return nil
}

func (m *MemoryMeter) add(credential string, at time.Time, use Use) {
	for _, period := range [...]string{Day(at), Month(at)} {
		a := account{credential, period}
		m.days[a] = m.days[a].Plus(use)
	}
}

// Limited implements Meter.
func (m *MemoryMeter) Limited(_ context.Context, credential, endpoint string, l Limit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := [2]string{credential, endpoint}
	m.limits[at] = m.limits[at].Merge(l)
	return nil
}

// Used is what a credential used in the period: Day or Month of an instant.
func (m *MemoryMeter) Used(credential, period string) Use {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.days[account{credential, period}]
}
