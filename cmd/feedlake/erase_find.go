package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// erasure is the work on one request. Its steps may be repeated, and another
// erasure of the same request goes on where this one was stopped.
type erasure struct {
	a        *app
	targets  []eraseTarget
	networks map[string]string // source to the platform whose ids its posts carry
	request  string
	rep      *eraseReport

	db      *query.DB // holds the tables of the schema erase
	match   *textMatcher
	names   func(text string) bool  // whether a text names one of the ids
	held    map[string][]string     // table to its partitions that a check holds back
	stopped func(step string) error // a test's way to interrupt after a step; nil: none
}

// rawTexts are the tables that hold posts with their texts. The second may
// still hold what is gone from the first.
func rawTexts() []string { return []string{"raw.posts", "features.posts"} }

// openSession makes the DuckDB that the conditions of all tables refer to:
//
//	erase.given    what was asked for
//	erase.tombs    what ops.erasures holds, and what goes now
//	erase.posts    the posts that go: those named, those of authors, reposts of both
//	erase.authors  the authors named
//	erase.texts    the texts of erase.posts
func (e *erasure) openSession(ctx context.Context) (err error) {
	if e.db != nil {
		return nil
	}
	db, err := e.a.duckdb(ctx)
	if err != nil {
		return err
	}
	e.db = db
	for _, s := range []string{
		"CREATE SCHEMA IF NOT EXISTS erase",
		"CREATE OR REPLACE TABLE erase.given (kind VARCHAR, source VARCHAR, id VARCHAR, hash VARCHAR)",
	} {
		if err := e.exec(ctx, s); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(e.targets, 500) {
		values := make([]string, len(batch))
		for i, t := range batch {
			values[i] = fmt.Sprintf("(%s, %s, %s, %s)", query.Quote(t.kind), query.Quote(t.source), query.Quote(t.id), query.Quote(t.hash()))
		}
		if err := e.exec(ctx, "INSERT INTO erase.given VALUES "+strings.Join(values, ", ")); err != nil {
			return err
		}
	}
	return nil
}

func (e *erasure) closeSession() error {
	if e.db == nil {
		return nil
	}
	err := e.db.Close()
	e.db = nil
	return err
}

func (e *erasure) exec(ctx context.Context, text string) error {
	if _, err := e.db.SQL().ExecContext(ctx, text); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("erase: query: %.40s…: %w", text, err) // the rest may hold ids
	}
	return nil
}

// pin makes views of tables at their newest snapshots; a table that is missing
// becomes an empty one.
func (e *erasure) pin(ctx context.Context, tables ...string) error {
	for _, t := range tables {
		cur, err := e.a.lake.Current(ctx, t)
		if errors.Is(err, feedlake.ErrNotFound) {
			if err := e.db.View(ctx, t, lake.RawPosts().Columns, nil); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := e.db.PinTable(ctx, e.a.lake, t, cur.ID); err != nil {
			return err
		}
	}
	return nil
}

// postsColumns are what the search reads of both tables of posts.
const postsColumns = "source, id, author_id, repost_of, text"

// find fills the tables of the schema erase. What an earlier request recorded
// is found too, so that whatever was stopped comes to its end.
func (e *erasure) find(ctx context.Context) error {
	if err := e.openSession(ctx); err != nil {
		return err
	}
	if err := e.pin(ctx, append(rawTexts(), lake.Erased().Name)...); err != nil {
		return err
	}
	both := "SELECT " + postsColumns + " FROM raw.posts UNION ALL SELECT " + postsColumns + " FROM features.posts"
	for _, s := range []string{
		"CREATE OR REPLACE TABLE erase.tombs AS SELECT DISTINCT kind, hash FROM ops.erasures UNION SELECT kind, hash FROM erase.given",
		"CREATE OR REPLACE TABLE erase.authors AS SELECT source, id FROM erase.given WHERE kind = 'author'",
		"CREATE OR REPLACE TABLE erase.posts AS SELECT DISTINCT source, id FROM (SELECT source, id FROM erase.given WHERE kind = 'post' UNION ALL SELECT source, id FROM (" + both +
			") WHERE " + tombed("post", "id") + " OR " + tombed("author", "author_id") + " OR " + tombed("post", "repost_of") + ")",
	} {
		if err := e.exec(ctx, s); err != nil {
			return err
		}
	}
	if err := e.reposts(ctx, both); err != nil {
		return err
	}
	if err := e.exec(ctx, "INSERT INTO erase.tombs SELECT 'post', sha256(source || chr(0) || id) FROM erase.posts"); err != nil {
		return err
	}
	err := e.exec(ctx, "CREATE OR REPLACE TABLE erase.texts AS SELECT DISTINCT text FROM ("+both+") p SEMI JOIN erase.posts g ON g.source = p.source AND g.id = p.id WHERE trim(text) <> ''")
	if err != nil {
		return err
	}
	texts, err := e.db.Texts(ctx, "SELECT text FROM erase.texts")
	if err != nil {
		return err
	}
	e.match = newTextMatcher(texts)
	if err := e.db.Define(ctx, "erase_says", 1, func(s []string) bool { return e.match.in(s[0]) }); err != nil {
		return err
	}
	if err := e.defineMentions(ctx); err != nil {
		return err
	}
	return e.countTargets(ctx)
}

// reposts adds the reposts of what is found, and theirs, until none is new.
func (e *erasure) reposts(ctx context.Context, both string) error {
	for {
		var before, after int64
		const count = "SELECT count(*) FROM erase.posts"
		if err := e.db.SQL().QueryRowContext(ctx, count).Scan(&before); err != nil {
			return fmt.Errorf("erase: count posts: %w", err)
		}
		err := e.exec(ctx, "INSERT INTO erase.posts SELECT DISTINCT p.source, p.id FROM ("+both+") p SEMI JOIN erase.posts g ON g.source = p.source AND g.id = p.repost_of "+
			"ANTI JOIN erase.posts h ON h.source = p.source AND h.id = p.id")
		if err != nil {
			return err
		}
		if err := e.db.SQL().QueryRowContext(ctx, count).Scan(&after); err != nil {
			return fmt.Errorf("erase: count posts: %w", err)
		}
		if before == after {
			return nil
		}
	}
}

// countTargets says in the report what was found of each target.
func (e *erasure) countTargets(ctx context.Context) (err error) {
	rows, err := e.db.SQL().QueryContext(ctx, `
		SELECT g.kind, g.hash, count(p.id), count(DISTINCT p.id) FROM erase.given g
		LEFT JOIN raw.posts p ON p.source = g.source AND ((g.kind = 'post' AND p.id = g.id) OR (g.kind = 'author' AND p.author_id = g.id)) GROUP BY ALL`)
	if err != nil {
		return fmt.Errorf("erase: count targets: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	type found struct{ rows, posts int64 }
	byHash := map[string]found{}
	for rows.Next() {
		var kind, hash string
		var f found
		if err := rows.Scan(&kind, &hash, &f.rows, &f.posts); err != nil {
			return fmt.Errorf("erase: count targets: %w", err)
		}
		byHash[kind+hash] = f
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("erase: count targets: %w", err)
	}
	for i := range e.rep.Targets {
		t := &e.rep.Targets[i]
		f := byHash[t.Kind+t.Hash]
		t.Posts, t.Rows, t.Found = max(t.Posts, f.posts), max(t.Rows, f.rows), t.Found || f.rows > 0
	}
	var reposts, copies int64
	err = e.db.SQL().QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE EXISTS (FROM erase.posts g WHERE g.source = p.source AND g.id = p.id)),
		count(*) FILTER (WHERE NOT EXISTS (FROM erase.posts g WHERE g.source = p.source AND g.id = p.id) AND coalesce(erase_says(text), false)) FROM raw.posts p`).Scan(&reposts, &copies)
	if err != nil {
		return fmt.Errorf("erase: count posts: %w", err)
	}
	e.rep.Rows, e.rep.Copies = max(e.rep.Rows, reposts), copies
	return nil
}

// tombstones lists what must not come back.
func (e *erasure) tombstones(ctx context.Context) ([]lake.Erasure, error) {
	if err := e.pin(ctx, "ml.labels"); err != nil {
		return nil, err
	}
	at, run := e.a.o.env.now().UTC(), e.rep.RunID
	var list []lake.Erasure
	add := func(kind, source, id string) {
		scopes := []string{source}
		if n := e.networks[source]; n != "" && kind != lake.ErasedLabel {
			scopes = append(scopes, lake.ErasedOf(n))
		}
		for _, of := range scopes {
			list = append(list, lake.Erasure{Kind: kind, Source: of, Hash: lake.ErasedHash(of, id), At: at, RunID: run})
		}
	}
	for _, t := range e.targets {
		add(t.kind, t.source, t.id)
	}
	for kind, text := range map[string]string{
		lake.ErasedPost:  "SELECT source, id FROM erase.posts",
		lake.ErasedLabel: "SELECT dataset, id FROM ml.labels WHERE id IS NOT NULL AND (" + ruleFor("ml.labels").remove + ")",
	} {
		if err := e.pairs(ctx, text, func(source, id string) { add(kind, source, id) }); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// remember writes the tombstones: from now on nothing of it can come back.
func (e *erasure) remember(ctx context.Context) error {
	list, err := e.tombstones(ctx)
	if err != nil {
		return err
	}
	n, err := e.a.lake.AddErasures(ctx, list)
	e.rep.Tombstones += n
	return err
}

// pairs calls do for every row of a query of two texts.
func (e *erasure) pairs(ctx context.Context, text string, do func(a, b string)) (err error) {
	rows, err := e.db.SQL().QueryContext(ctx, text)
	if err != nil {
		return fmt.Errorf("erase: query: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			return fmt.Errorf("erase: query: %w", err)
		}
		do(a, b)
	}
	return rows.Err()
}

// defineMentions teaches DuckDB to look for ids inside other text.
func (e *erasure) defineMentions(ctx context.Context) error {
	type key struct{ source, id string }
	ids, sources := map[key]bool{}, map[string]bool{}
	err := e.pairs(ctx, "SELECT source, id FROM erase.posts UNION ALL SELECT source, id FROM erase.authors", func(source, id string) {
		ids[key{source, id}], sources[source] = true, true
	})
	if err != nil {
		return err
	}
	mentions := func(source, text string) bool {
		for word := range lake.IDWords(text) {
			if ids[key{source, word}] {
				return true
			}
		}
		return false
	}
	err = e.db.Define(ctx, "erase_mentions", 2, func(s []string) bool { return mentions(s[0], s[1]) })
	if err != nil {
		return err
	}
	e.names = func(text string) bool {
		for source := range sources {
			if mentions(source, text) {
				return true
			}
		}
		return false
	}
	return e.db.Define(ctx, "erase_names", 1, func(s []string) bool { return e.names(s[0]) })
}
