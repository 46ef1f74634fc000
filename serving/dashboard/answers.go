package dashboard

import (
	"context"
	"sync"

	"golang.org/x/sync/singleflight"
)

// maxAnswers bounds the bytes of answers that are kept.
const maxAnswers = 32 << 20

// answers keeps what was answered at one set of snapshots: the same question has the
// same answer until the lake moves on. Who asks what somebody is just asking waits
// for that answer.
type answers struct {
	asking singleflight.Group

	mu      sync.Mutex
	version string
	bodies  map[string][]byte // by tag
	size    int
}

// of returns the answer of a tag, which make gives when it is not known. make goes
// on when the one who asked first has left.
func (a *answers) of(ctx context.Context, tag string, answer func(context.Context) (version string, body []byte, err error)) ([]byte, error) {
	if body, ok := a.known(tag); ok {
		return body, nil
	}
	done := a.asking.DoChan(tag, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		version, body, err := answer(ctx)
		if err == nil {
			a.keep(version, tag, body)
		}
		return body, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case res := <-done:
		body, _ := res.Val.([]byte) // nil with an error
		return body, res.Err
	}
}

func (a *answers) known(tag string) ([]byte, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, ok := a.bodies[tag]
	return body, ok
}

// keep remembers an answer. Those of another set of snapshots go, and all go when
// there are too many.
func (a *answers) keep(version, tag string, body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.version != version || a.size+len(body) > maxAnswers {
		a.version, a.bodies, a.size = version, map[string][]byte{}, 0
	}
	if _, ok := a.bodies[tag]; !ok {
		a.bodies[tag] = body
		a.size += len(body)
	}
}
