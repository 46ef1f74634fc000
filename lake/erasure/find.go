package erasure

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
func (w *Work) openSession(ctx context.Context) (err error) {
	if w.db != nil {
		return nil
	}
	db, err := w.o.Open(ctx)
	if err != nil {
		return err
	}
	w.db = db
	for _, s := range []string{
		"CREATE SCHEMA IF NOT EXISTS erase",
		"CREATE OR REPLACE TABLE erase.given (kind VARCHAR, source VARCHAR, id VARCHAR, hash VARCHAR)",
	} {
		if err := w.exec(ctx, s); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(w.o.Targets, 500) {
		values := make([]string, len(batch))
		for i, t := range batch {
			values[i] = fmt.Sprintf("(%s, %s, %s, %s)", query.Quote(t.Kind), query.Quote(t.Source), query.Quote(t.ID), query.Quote(t.hash()))
		}
		if err := w.exec(ctx, "INSERT INTO erase.given VALUES "+strings.Join(values, ", ")); err != nil {
			return err
		}
	}
	return nil
}

func (w *Work) closeSession() error {
	if w.db == nil {
		return nil
	}
	err := w.db.Close()
	w.db = nil
	return err
}

func (w *Work) exec(ctx context.Context, text string) error {
	if _, err := w.db.SQL().ExecContext(ctx, text); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("erase: query: %.40s…: %w", text, err) // the rest may hold ids
	}
	return nil
}

// pin makes views of tables at their newest snapshots; a table that is missing
// becomes an empty one.
func (w *Work) pin(ctx context.Context, tables ...string) error {
	for _, t := range tables {
		cur, err := w.o.Lake.Current(ctx, t)
		if errors.Is(err, feedlake.ErrNotFound) {
			if err := w.db.View(ctx, t, lake.RawPosts().Columns, nil); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := w.db.PinTable(ctx, w.o.Lake, t, cur.ID); err != nil {
			return err
		}
	}
	return nil
}

// postsColumns are what the search reads of both tables of posts.
const postsColumns = "source, id, author_id, repost_of, text"

// find fills the tables of the schema erase. What an earlier request recorded
// is found too, so that whatever was stopped comes to its end.
func (w *Work) find(ctx context.Context) error {
	if err := w.openSession(ctx); err != nil {
		return err
	}
	if err := w.pin(ctx, append(rawTexts(), lake.Erased().Name)...); err != nil {
		return err
	}
	both := "SELECT " + postsColumns + " FROM raw.posts UNION ALL SELECT " + postsColumns + " FROM features.posts"
	for _, s := range []string{
		"CREATE OR REPLACE TABLE erase.tombs AS SELECT DISTINCT kind, hash FROM ops.erasures UNION SELECT kind, hash FROM erase.given",
		"CREATE OR REPLACE TABLE erase.authors AS SELECT source, id FROM erase.given WHERE kind = 'author'",
		"CREATE OR REPLACE TABLE erase.posts AS SELECT DISTINCT source, id FROM (SELECT source, id FROM erase.given WHERE kind = 'post' UNION ALL SELECT source, id FROM (" + both +
			") WHERE " + tombed("post", "id") + " OR " + tombed("author", "author_id") + " OR " + tombed("post", "repost_of") + ")",
	} {
		if err := w.exec(ctx, s); err != nil {
			return err
		}
	}
	if err := w.reposts(ctx, both); err != nil {
		return err
	}
	if err := w.exec(ctx, "INSERT INTO erase.tombs SELECT 'post', sha256(source || chr(0) || id) FROM erase.posts"); err != nil {
		return err
	}
	err := w.exec(ctx, "CREATE OR REPLACE TABLE erase.texts AS SELECT DISTINCT text FROM ("+both+") p SEMI JOIN erase.posts g ON g.source = p.source AND g.id = p.id WHERE trim(text) <> ''")
	if err != nil {
		return err
	}
	texts, err := w.db.Texts(ctx, "SELECT text FROM erase.texts")
	if err != nil {
		return err
	}
	w.match = newTextMatcher(texts)
	if err := w.db.Define(ctx, "erase_says", 1, func(s []string) bool { return w.match.in(s[0]) }); err != nil {
		return err
	}
	if err := w.defineMentions(ctx); err != nil {
		return err
	}
	return w.countTargets(ctx)
}

// reposts adds the reposts of what is found, and theirs, until none is new.
func (w *Work) reposts(ctx context.Context, both string) error {
	for {
		var before, after int64
		const count = "SELECT count(*) FROM erase.posts"
		if err := w.db.SQL().QueryRowContext(ctx, count).Scan(&before); err != nil {
			return fmt.Errorf("erase: count posts: %w", err)
		}
		err := w.exec(ctx, "INSERT INTO erase.posts SELECT DISTINCT p.source, p.id FROM ("+both+") p SEMI JOIN erase.posts g ON g.source = p.source AND g.id = p.repost_of "+
			"ANTI JOIN erase.posts h ON h.source = p.source AND h.id = p.id")
		if err != nil {
			return err
		}
		if err := w.db.SQL().QueryRowContext(ctx, count).Scan(&after); err != nil {
			return fmt.Errorf("erase: count posts: %w", err)
		}
		if before == after {
			return nil
		}
	}
}

// countTargets says in the report what was found of each target.
func (w *Work) countTargets(ctx context.Context) (err error) {
	rows, err := w.db.SQL().QueryContext(ctx, `
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
	for i := range w.rep.Targets {
		t := &w.rep.Targets[i]
		f := byHash[t.Kind+t.Hash]
		t.Posts, t.Rows, t.Found = max(t.Posts, f.posts), max(t.Rows, f.rows), t.Found || f.rows > 0
	}
	var reposts, copies int64
	err = w.db.SQL().QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE EXISTS (FROM erase.posts g WHERE g.source = p.source AND g.id = p.id)),
		count(*) FILTER (WHERE NOT EXISTS (FROM erase.posts g WHERE g.source = p.source AND g.id = p.id) AND coalesce(erase_says(text), false)) FROM raw.posts p`).Scan(&reposts, &copies)
	if err != nil {
		return fmt.Errorf("erase: count posts: %w", err)
	}
	w.rep.Rows, w.rep.Copies = max(w.rep.Rows, reposts), copies
	return nil
}

// tombstones lists what must not come back.
func (w *Work) tombstones(ctx context.Context) ([]lake.Erasure, error) {
	if err := w.pin(ctx, "ml.labels"); err != nil {
		return nil, err
	}
	at, run := w.o.Now().UTC(), w.rep.RunID
	var list []lake.Erasure
	add := func(kind, source, id string) {
		scopes := []string{source}
		if n := w.o.Networks[source]; n != "" && kind != lake.ErasedLabel {
			scopes = append(scopes, lake.ErasedOf(n))
		}
		for _, of := range scopes {
			list = append(list, lake.Erasure{Kind: kind, Source: of, Hash: lake.ErasedHash(of, id), At: at, RunID: run})
		}
	}
	for _, t := range w.o.Targets {
		add(t.Kind, t.Source, t.ID)
	}
	for kind, text := range map[string]string{
		lake.ErasedPost:  "SELECT source, id FROM erase.posts",
		lake.ErasedLabel: "SELECT dataset, id FROM ml.labels WHERE id IS NOT NULL AND (" + ruleFor("ml.labels").remove + ")",
	} {
		if err := w.pairs(ctx, text, func(source, id string) { add(kind, source, id) }); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// remember writes the tombstones: from now on nothing of it can come back.
func (w *Work) remember(ctx context.Context) error {
	list, err := w.tombstones(ctx)
	if err != nil {
		return err
	}
	n, err := w.o.Lake.AddErasures(ctx, list)
	w.rep.Tombstones += n
	return err
}

// pairs calls do for every row of a query of two texts.
func (w *Work) pairs(ctx context.Context, text string, do func(a, b string)) (err error) {
	rows, err := w.db.SQL().QueryContext(ctx, text)
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
func (w *Work) defineMentions(ctx context.Context) error {
	type key struct{ source, id string }
	ids, sources := map[key]bool{}, map[string]bool{}
	err := w.pairs(ctx, "SELECT source, id FROM erase.posts UNION ALL SELECT source, id FROM erase.authors", func(source, id string) {
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
	err = w.db.Define(ctx, "erase_mentions", 2, func(s []string) bool { return mentions(s[0], s[1]) })
	if err != nil {
		return err
	}
	w.names = func(text string) bool {
		for source := range sources {
			if mentions(source, text) {
				return true
			}
		}
		return false
	}
	return w.db.Define(ctx, "erase_names", 1, func(s []string) bool { return w.names(s[0]) })
}
