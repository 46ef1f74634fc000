package ingest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
)

// TestPostsAside wants every field of a post back that was put aside: one that a
// post gets later, too.
func TestPostsAside(t *testing.T) {
	t.Parallel()
	n := int64(-7)
	full := feedlake.Post{}
	v := reflect.ValueOf(&full).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string:
			f.SetString(fmt.Sprintf("field %d ä", i))
		case *int64:
			f.Set(reflect.ValueOf(&n))
		case []string:
			f.Set(reflect.ValueOf([]string{"a", "", fmt.Sprint(i)}))
		case time.Time:
			f.Set(reflect.ValueOf(time.Date(1990, 1, 2, 3, 4, i, 5000, time.UTC)))
		case bool:
			f.SetBool(true)
		case int64:
			f.SetInt(1<<40 + int64(i))
		default:
			t.Fatalf("a field of type %s", f.Type())
		}
	}
	empty := feedlake.Post{Hashtags: []string{}, CreatedAt: time.Unix(0, 0).UTC()}
	for _, want := range []feedlake.Post{full, empty, {}} {
		b := appendPost([]byte("x"), &want)
		var got feedlake.Post
		n, err := readPost(string(b[1:])+"more", &got)
		if d := cmp.Diff(want, got); err != nil || n != len(b)-1 || d != "" {
			t.Errorf("%d of %d bytes, %v: %s", n, len(b)-1, err, d)
		}
		for cut := range len(b) - 1 {
			if _, err := readPost(string(b[1:1+cut]), &got); err == nil {
				t.Errorf("cut at %d: no error", cut)
			}
		}
	}
}

// TestBatchAside puts posts of many days aside, and wants them back by partition in
// the order of arrival, those in memory last.
func TestBatchAside(t *testing.T) {
	t.Parallel()
	var b batch
	const days, each = 100, 3
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	add := func(round int) {
		e := entries{}
		for i := range days * each {
			e.posts = append(e.posts, feedlake.Post{Source: "s", ID: fmt.Sprint(round, "/", i), CreatedAt: at.AddDate(0, 0, i*37%days)})
		}
		b.take(e, "s", "run")
	}
	for round := range 3 {
		add(round)
		if !b.spread() {
			t.Fatal("not spread")
		}
		if err := b.putAside(); err != nil || b.held != 0 || len(b.pages) != 0 {
			t.Fatal(err, b.held)
		}
	}
	defer b.release()
	if b.posts != 3*days*each || b.aside.posts != b.posts || len(b.aside.parts) != days {
		t.Fatalf("%d posts, %d aside in %d partitions", b.posts, b.aside.posts, len(b.aside.parts))
	}
	seen := 0
	for k := range b.aside.parts {
		last := int64(0)
		err := b.aside.each(k, func(posts []feedlake.Post) error {
			for i := range posts {
				if keyOf(&posts[i]) != k || posts[i].Seq <= last {
					return fmt.Errorf("post %s of day %d behind %d", posts[i].ID, k.day, last)
				}
				last = posts[i].Seq
				seen++
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if seen != b.posts {
		t.Errorf("%d of %d posts came back", seen, b.posts)
	}
}
