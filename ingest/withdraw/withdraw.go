// Package withdraw takes posts away that a network has deleted without naming
// them as the lake does: all posts of an account that is gone (feedlake.
// KindAccount), and a post that is named by its server's number alone
// (feedlake.KindLocal). For each of them it lands a deletion under the post's own
// id and creation time, as the network would have told it.
package withdraw

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Options says whose posts, and where they are.
type Options struct {
	Source string // configured name
	RunID  string // stored in the rows and the commit
	Lake   *lake.Lake
	Open   func(context.Context) (*query.DB, error) // called when there is work
}

// Posts withdraws what the source's deletions ask for and returns how many posts
// that were. Only posts whose newest version was seen before the deletion, or nobody
// knows when, are taken: an account may come back. It looks at what landed since it was called
// last, and at everything when new deletions came; a second call finds nothing.
//
// Errors: feedlake.ErrConflict when an ingest of the source landed meanwhile.
func Posts(ctx context.Context, o Options) (n int64, err error) {
	last, err := o.Lake.Property(ctx, lake.RawPosts().Name, ingest.PropWithdraw+o.Source)
	if err != nil || last == "" {
		return 0, wrap(o.Source, err)
	}
	w := work{Options: o, last: last}
	n, err = w.run(ctx)
	return n, wrap(o.Source, err)
}

func wrap(source string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("withdraw posts of %s: %w", source, err)
}

// work is one call of Posts.
type work struct {
	Options
	last string // value of the property
	at   int64  // the snapshot that is looked at
	db   *query.DB
}

func (w *work) run(ctx context.Context) (n int64, err error) {
	all, looked, err := w.files(ctx)
	if err != nil || len(looked) == 0 {
		return 0, err
	}
	if w.db, err = w.Open(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.db.Close()) }()
	if err := w.show(ctx, all, looked); err != nil {
		return 0, err
	}
	paths, n, err := w.write(ctx)
	if err != nil {
		return 0, err
	}
	return n, w.commit(ctx, paths)
}

// files lists the source's files, and those among them that are looked at: whole
// partitions, since a post's versions all lie in one.
func (w *work) files(ctx context.Context) (all, looked []lake.File, err error) {
	table := lake.RawPosts().Name
	cur, err := w.Lake.Current(ctx, table)
	if err != nil {
		return nil, nil, err
	}
	w.at = cur.ID
	live, err := w.Lake.Files(ctx, table, cur.ID)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range live {
		if source, _ := f.Partition.Value("source"); source == w.Source {
			all = append(all, f)
		}
	}
	since, err := strconv.ParseInt(w.last, 10, 64)
	if err != nil { // new deletions
		return all, all, nil
	}
	parts, err := w.Lake.Changed(ctx, table, since, cur.ID)
	switch {
	case errors.Is(err, feedlake.ErrNotFound): // expired
		return all, all, nil
	case err != nil:
		return nil, nil, err
	}
	changed := map[lake.Partition]bool{}
	for _, p := range parts {
		changed[p] = true
	}
	for _, f := range all {
		if changed[f.Partition] {
			looked = append(looked, f)
		}
	}
	return all, looked, nil
}

// show makes the views: withdraw.told over all rows of the source,
// withdraw.posts over those that are looked at, and withdraw.near over those of
// them whose payload may have to be read, on the days of local deletions.
func (w *work) show(ctx context.Context, all, looked []lake.File) error {
	cols, err := w.Lake.Columns(ctx, lake.RawPosts().Name)
	if err != nil {
		return err
	}
	view := func(name string, files []lake.File) error {
		return w.db.ViewOf(ctx, w.Lake, "withdraw."+name, cols, files)
	}
	if err := errors.Join(view("told", all), view("posts", looked)); err != nil {
		return err
	}
	days, err := w.db.Texts(ctx, `SELECT DISTINCT strftime(created_at + to_days(d.n), '%Y-%m-%d') FROM withdraw.told, (VALUES (-1), (0), (1)) d(n)
		WHERE deleted AND kind = `+query.Quote(feedlake.KindLocal))
	if err != nil {
		return err
	}
	on := map[string]bool{}
	for _, d := range days {
		on[d] = true
	}
	var near []lake.File
	for _, f := range looked {
		if day, _ := f.Partition.Value("day"); on[day] {
			near = append(near, f)
		}
	}
	return view("near", near)
}

// choose finds the posts, ordered by day. The number of a post lies in its
// payload, and its time close to that of the post; where payloads are left out,
// such a deletion finds nothing.
const choose = `
WITH gone AS (
  SELECT author_id, max(observed_at) AS moment FROM withdraw.told WHERE deleted AND kind = '` + feedlake.KindAccount + `' AND author_id IS NOT NULL GROUP BY author_id
), numbered AS (
  SELECT string_split(id, ':')[-1] AS number, max(observed_at) AS moment FROM withdraw.told WHERE deleted AND kind = '` + feedlake.KindLocal + `' GROUP BY number
), named AS (
  SELECT p.id, g.moment FROM withdraw.posts p JOIN gone g ON g.author_id = p.author_id WHERE NOT p.deleted
  UNION ALL
  SELECT p.id, n.moment FROM withdraw.near p JOIN numbered n ON n.number = CASE WHEN json_valid(p.payload) THEN p.payload ->> '$.id' END WHERE NOT p.deleted
), asked AS (
  SELECT id, max(moment) AS moment FROM named GROUP BY id
), versions AS (
  SELECT id, max(network) AS network, min(created_at) AS created_at, arg_max(kind, coalesce(observed_at, TIMESTAMP '1970-01-01')) FILTER (WHERE NOT deleted) AS kind,
         max(observed_at) FILTER (WHERE NOT deleted) AS alive, max(observed_at) FILTER (WHERE deleted) AS dead
  FROM withdraw.posts WHERE id IN (SELECT id FROM asked) GROUP BY id
)
SELECT coalesce(v.network, ''), v.id, v.kind, v.created_at, a.moment
FROM versions v JOIN asked a ON a.id = v.id
WHERE (v.alive IS NULL OR v.alive < a.moment) AND (v.dead IS NULL OR v.dead <= v.alive)
ORDER BY v.created_at, v.id`

// write writes the deletions, a file a day.
func (w *work) write(ctx context.Context) (paths []string, n int64, err error) {
	rows, err := w.db.SQL().QueryContext(ctx, choose)
	if err != nil {
		return nil, 0, fmt.Errorf("look for posts: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var (
		day  string
		list []feedlake.Post
	)
	flush := func() error {
		if len(list) == 0 {
			return nil
		}
		path, err := lake.WriteRows(ctx, w.Lake, lake.RawPosts().Name, lake.MakePartition("source", w.Source, "day", day), list)
		paths, n, list = append(paths, path), n+int64(len(list)), list[:0]
		return err
	}
	for rows.Next() {
		p, err := w.deletion(rows)
		if err != nil {
			return nil, 0, err
		}
		if d := p.CreatedAt.Format(time.DateOnly); d != day {
			if err := flush(); err != nil {
				return nil, 0, err
			}
			day = d
		}
		list = append(list, p)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("look for posts: %w", err)
	}
	return paths, n, flush()
}

func (w *work) deletion(rows *sql.Rows) (feedlake.Post, error) {
	p := feedlake.Post{Source: w.Source, Deleted: true, RunID: w.RunID, Query: "withdrawn"}
	if err := rows.Scan(&p.Network, &p.ID, &p.Kind, &p.CreatedAt, &p.ObservedAt); err != nil {
		return p, fmt.Errorf("look for posts: %w", err)
	}
	p.CreatedAt, p.ObservedAt = p.CreatedAt.UTC(), p.ObservedAt.UTC()
	return p, nil
}

// commit lands the deletions and says how far was looked: over the snapshot that
// holds them too, when nobody came between.
func (w *work) commit(ctx context.Context, paths []string) error {
	prop := ingest.PropWithdraw + w.Source
	c := lake.Commit{
		Table: lake.RawPosts().Name, Add: paths, Expect: map[string]string{prop: w.last},
		Set:     map[string]string{prop: strconv.FormatInt(w.at, 10)},
		Summary: map[string]string{lake.SummaryRunID: w.RunID, "feedlake.source": w.Source},
	}
	if len(paths) == 0 {
		_, err := w.Lake.Commit(ctx, c)
		return err
	}
	c.ID = "withdraw/" + w.Source + "/" + strconv.FormatInt(w.at, 10)
	s, err := w.Lake.CommitOrAsk(ctx, c)
	if err != nil || s.Parent != w.at {
		return err
	}
	_, err = w.Lake.Commit(ctx, lake.Commit{
		Table: c.Table, Expect: c.Set, Set: map[string]string{prop: strconv.FormatInt(s.ID, 10)},
	})
	return err
}
