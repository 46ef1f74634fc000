package transforms_test

import (
	"testing"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
)

func (r *rig) plan() transforms.Estimate {
	r.t.Helper()
	o := r.opts
	o.Lake, o.Graph, o.Now = r.lake, r.graph, clock
	e, err := transforms.Plan(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// read is what a run read of the tables that models do not make: what an
// estimate knows for sure.
func read(rep transforms.Report, model string) (files int, bytes int64) {
	for _, m := range rep.Models {
		if m.Model == model {
			return m.InputFiles, m.InputBytes
		}
	}
	return 0, 0
}

func TestPlanKnowsWhatARunWillRead(t *testing.T) {
	r := newRig(t)
	r.ensure(lake.Fixed()...)
	if e := r.plan(); e != (transforms.Estimate{}) {
		t.Errorf("an empty lake needs %+v", e)
	}
	r.land(post("a1", "01-01", "hello #go"), post("a2", "01-02", "hello #go"))
	r.opts.Only = []string{"features.posts"}
	first := r.plan()
	files, bytes := read(r.mustTransform(), "features.posts")
	if first.Files != files || first.Bytes != bytes || first.Partitions != 2 || first.Models != 1 {
		t.Errorf("first build: planned %+v, read %d files of %d bytes", first, files, bytes)
	}
	if e := r.plan(); e != (transforms.Estimate{}) {
		t.Errorf("up to date, but planned %+v", e)
	}
	r.land(post("a3", "01-02", "late"))
	late := r.plan()
	files, bytes = read(r.mustTransform(), "features.posts")
	if late.Files != files || late.Bytes != bytes || late.Partitions != 1 || late.Bytes >= first.Bytes*2 {
		t.Errorf("late post: planned %+v, read %d files of %d bytes", late, files, bytes)
	}
	r.opts.Full = true
	if e := r.plan(); e.Partitions != 2 || e.Bytes <= late.Bytes {
		t.Errorf("full rebuild: planned %+v", e)
	}
}

// TestPlanCountsTheWholeChain wants models to count whose inputs are not there
// yet.
func TestPlanCountsTheWholeChain(t *testing.T) {
	r := newRig(t)
	r.ensure(lake.Fixed()...)
	r.land(post("a1", "01-01", "hello #go"))
	r.opts.Only = []string{"features.posts"}
	one := r.plan()
	r.opts.Only = []string{"features.posts", "features.text_stats", "marts.volume"}
	if all := r.plan(); all.Models != 3 || all.Bytes != 3*one.Bytes {
		t.Errorf("planned %+v for three models, %+v for one", all, one)
	}
}
