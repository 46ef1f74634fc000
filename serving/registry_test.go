package serving_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving"
	"github.com/feedlake/feedlake/serving/export"
	"github.com/feedlake/feedlake/serving/postgres"
)

// TestRegistry opens publishers by their kind, and refuses what is not one.
func TestRegistry(t *testing.T) {
	r := serving.Registry{}
	export.Register(r)
	postgres.Register(r)
	if got := r.Kinds(); !slices.Equal(got, []string{"export", "postgres"}) {
		t.Errorf("kinds %v", got)
	}
	p, err := r.Open("export", serving.Env{Name: "out", Base: "/base"}, func(v any) error {
		c, ok := v.(*export.Config)
		if !ok {
			t.Fatalf("decodes into %T", v)
		}
		c.Dir = "publish"
		return nil
	})
	if f, ok := p.(serving.Folder); err != nil || !ok || f.Folder() != "/base/publish" {
		t.Errorf("an export: %v, %v", p, err)
	}
	nothing := func(any) error { return nil }
	for _, kind := range []string{"pigeon", "export", "postgres"} {
		_, err := r.Open(kind, serving.Env{}, nothing)
		if h, ok := errors.AsType[*feedlake.HintError](err); !errors.Is(err, feedlake.ErrConfig) || !ok || h.Hint == "" {
			t.Errorf("%s without settings: %v", kind, err)
		}
	}
	bad := errors.New("unknown field")
	if _, err := r.Open("export", serving.Env{}, func(any) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("settings that cannot be read: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second publisher of one kind is taken")
		}
	}()
	export.Register(r)
}
