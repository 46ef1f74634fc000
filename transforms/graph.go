package transforms

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Graph holds models in an order in which each comes after its inputs.
type Graph struct {
	models []Model
	byName map[string]int
}

// Models lists the models in run order: a model after its inputs, and by name
// where the inputs leave the order open.
func (g *Graph) Models() []Model { return slices.Clone(g.models) }

// Model returns the model that makes a table.
func (g *Graph) Model(table string) (Model, bool) {
	i, ok := g.byName[table]
	if !ok {
		return Model{}, false
	}
	return g.models[i], true
}

// Load reads every *.sql file of fsys outside folders called testdata. Beside
// the models, inputs may be feedlake's own tables (lake.Fixed) and those named
// in tables. All faults of all files are reported together: a head that cannot
// be read, two models of one table, an input that nobody makes, a table that is
// read without being an input, a cycle.
func Load(fsys fs.FS, tables ...string) (*Graph, error) { return LoadWith(fsys, "", tables...) }

// LoadWith is Load for models that call macros: the definitions of functions that
// an engine lacks, each a CREATE MACRO statement. They say what a model means, so
// that one that changes builds the tables anew of the models that call it.
func LoadWith(fsys fs.FS, macros string, tables ...string) (*Graph, error) {
	models, err := readModels(fsys)
	if err != nil {
		return nil, err
	}
	shim := parseMacros(macros)
	for i := range models {
		models[i].Hash = models[i].hash(shim)
	}
	g := &Graph{byName: map[string]int{}}
	var faults []error
	for _, m := range models {
		if i, twice := g.byName[m.Name]; twice {
			faults = append(faults, feedlake.Hint(fmt.Errorf("%s: table %s is made by %s too: %w", m.File, m.Name, g.models[i].File, feedlake.ErrConfig),
				"one model makes a table: give one of them another name"))
			continue
		}
		g.byName[m.Name] = len(g.models)
		g.models = append(g.models, m)
	}
	known := slices.Clone(tables)
	for _, s := range lake.Fixed() {
		known = append(known, s.Name)
	}
	for i := range g.models {
		faults = append(faults, g.checkInputs(&g.models[i], known)...)
		faults = append(faults, g.checkGrowth(&g.models[i])...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if err := g.sort(); err != nil {
		return nil, err
	}
	return g, nil
}

func readModels(fsys fs.FS) ([]Model, error) {
	var models []Model
	var faults []error
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".sql":
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		m, err := ParseModel(name, text)
		if err != nil {
			faults = append(faults, err)
			return nil
		}
		models = append(models, m)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read models: %w", err)
	}
	return models, errors.Join(faults...)
}

// checkInputs holds a model's inputs against the tables that exist and against
// those that its SELECT reads.
func (g *Graph) checkInputs(m *Model, known []string) (faults []error) {
	exists := func(table string) bool {
		_, ok := g.byName[table]
		return ok || slices.Contains(known, table)
	}
	declared := map[string]bool{}
	for _, in := range m.Inputs {
		declared[in.Table] = true
		if !exists(in.Table) {
			faults = append(faults, feedlake.Hint(fmt.Errorf("%s: input %s: no model makes it and the lake has no such table: %w", m.File, in.Table, feedlake.ErrConfig),
				"%s", g.suggest(in.Table, known)))
		}
	}
	for _, r := range reads(m) {
		if exists(r.table) && !declared[r.table] {
			faults = append(faults, feedlake.Hint(fmt.Errorf("%s:%d: %s is read but is no input: %w", m.File, r.line, r.table, feedlake.ErrConfig),
				"add it to '-- inputs:', or the model will not follow its changes"))
		}
	}
	return faults
}

type read struct {
	table string
	line  int
}

// reads lists the qualified names that stand after FROM or JOIN.
func reads(m *Model) []read {
	bare := blank(m.SQL)
	re := regexp.MustCompile(`(?i)\b(?:from|join)\s+([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)`)
	var out []read
	for _, at := range re.FindAllStringSubmatchIndex(bare, -1) {
		table := strings.ToLower(bare[at[2]:at[3]])
		if !slices.ContainsFunc(out, func(r read) bool { return r.table == table }) {
			out = append(out, read{table, m.Line + strings.Count(bare[:at[2]], "\n")})
		}
	}
	return out
}

// suggest names the table that was probably meant.
func (g *Graph) suggest(table string, known []string) string {
	names := slices.Clone(known)
	for _, m := range g.models {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	if best := feedlake.Nearest(table, names); best != "" {
		return "did you mean " + best + "?"
	}
	return "the tables are " + strings.Join(names, ", ")
}

// sort orders the models by Kahn's algorithm, smallest name first among those
// that are ready, and reports a cycle with its members.
func (g *Graph) sort() error {
	slices.SortFunc(g.models, func(a, b Model) int { return cmp.Compare(a.Name, b.Name) })
	done := map[string]bool{}
	makes := map[string]bool{}
	for _, m := range g.models {
		makes[m.Name] = true
	}
	left, sorted := g.models, make([]Model, 0, len(g.models))
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(m Model) bool {
			return !slices.ContainsFunc(m.Inputs, func(in Input) bool { return makes[in.Table] && !done[in.Table] })
		})
		if i < 0 {
			return cycle(left)
		}
		sorted = append(sorted, left[i])
		done[left[i].Name] = true
		left = slices.Delete(slices.Clone(left), i, i+1)
	}
	g.models = sorted
	for i, m := range sorted {
		g.byName[m.Name] = i
	}
	return nil
}

// cycle follows inputs among models that wait for each other until one comes
// again.
func cycle(left []Model) error {
	waits := map[string]Model{}
	for _, m := range left {
		waits[m.Name] = m
	}
	var trail []string
	for at := left[0]; ; {
		if i := slices.Index(trail, at.Name); i >= 0 {
			names := append(slices.Clone(trail[i:]), at.Name)
			return feedlake.Hint(fmt.Errorf("%s: models read each other in a circle: %s: %w", at.File, strings.Join(names, " <- "), feedlake.ErrConfig),
				"take one of these inputs away")
		}
		trail = append(trail, at.Name)
		for _, in := range at.Inputs {
			if next, ok := waits[in.Table]; ok {
				at = next
				break
			}
		}
	}
}

// Select returns the models of names, in run order; no name means all. An
// unknown name is feedlake.ErrNotFound.
func (g *Graph) Select(names ...string) ([]Model, error) {
	if len(names) == 0 {
		return g.Models(), nil
	}
	for _, n := range names {
		if _, ok := g.byName[n]; !ok {
			return nil, feedlake.Hint(fmt.Errorf("model %s: %w", n, feedlake.ErrNotFound), "%s", g.suggest(n, nil))
		}
	}
	var out []Model
	for _, m := range g.models {
		if slices.Contains(names, m.Name) {
			out = append(out, m)
		}
	}
	return out, nil
}
