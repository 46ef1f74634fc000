package transforms

import (
	"context"
	"slices"
	"sync"
)

// all gives every model its turn: after the chosen models that it reads, beside
// others, in graph order where only one runs at a time. The reports are in graph
// order; after ctx has ended those of models that had not begun are missing.
func (r *runner) all(ctx context.Context, models []Model) []ModelReport {
	reports := make([]*ModelReport, len(models))
	begun, ended := make([]bool, len(models)), map[string]bool{}
	finished := make(chan int)
	waits := func(m *Model) bool {
		return slices.ContainsFunc(m.Inputs, func(in Input) bool {
			return !ended[in.Table] && slices.ContainsFunc(models, func(o Model) bool { return o.Name == in.Table })
		})
	}
	running := 0
	for {
		for i := range models {
			if begun[i] || running == r.Parallel || waits(&models[i]) || ctx.Err() != nil {
				continue
			}
			begun[i] = true
			running++
			go func() {
				m := r.model(ctx, &models[i], Progress{Model: models[i].Name, Index: i, Models: len(models)})
				reports[i] = &m
				finished <- i
			}()
		}
		if running == 0 {
			break
		}
		ended[models[<-finished].Name] = true
		running--
	}
	var out []ModelReport
	for _, m := range reports {
		if m != nil {
			out = append(out, *m)
		}
	}
	return out
}

// tell passes progress on, one call at a time.
func (r *runner) tell(p Progress) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.Progress(p)
}

// memo keeps what is read once for all who ask.
type memo[K comparable, V any] struct {
	mu   sync.Mutex
	kept map[K]*entry[V]
}

type entry[V any] struct {
	mu   sync.Mutex // held while it is read
	done bool
	v    V
}

func newMemo[K comparable, V any]() *memo[K, V] { return &memo[K, V]{kept: map[K]*entry[V]{}} }

// get returns what is kept, or reads it; an error is not kept.
func (m *memo[K, V]) get(key K, read func() (V, error)) (V, error) {
	m.mu.Lock()
	e := m.kept[key]
	if e == nil {
		e = &entry[V]{}
		m.kept[key] = e
	}
	m.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done {
		return e.v, nil
	}
	v, err := read()
	e.v, e.done = v, err == nil
	return v, err
}
