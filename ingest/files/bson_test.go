package files_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/feedlake/feedlake/ingest/sourcetest"
)

func document(t testing.TB, d bson.D) string {
	t.Helper()
	b, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// dump is what mongodump writes of some records; see line.
func dump(t testing.TB, from, to int) string {
	t.Helper()
	var b strings.Builder
	for i := from; i < to; i++ {
		_, _ = b.WriteString(document(t, bson.D{
			{Key: "id", Value: numbers(i, i+1)[0]}, {Key: "at", Value: int64(1577934245 + i)}, {Key: "t", Value: "text \u00e4"}, {Key: "n", Value: int32(i * i)},
		}))
	}
	return b.String()
}

// TestBSON maps the types of MongoDB: its ids, dates, numbers and documents in
// documents; the payload holds all of them.
func TestBSON(t *testing.T) {
	f := newFolder(t)
	id, at := bson.NewObjectIDFromTimestamp(time.Unix(1577934245, 0)), time.Date(2020, 1, 2, 3, 4, 5, 678e6, time.UTC)
	doc := document(t, bson.D{
		{Key: "_id", Value: id},
		{Key: "created", Value: bson.NewDateTimeFromTime(at)},
		{Key: "body", Value: "text \u00e4 \"q\""},
		{Key: "user", Value: bson.D{{Key: "name", Value: "Wanda"}, {Key: "followers", Value: int64(12)}}},
		{Key: "tags", Value: bson.A{"a", "b"}},
		{Key: "score", Value: 7.0},
		{Key: "odd", Value: bson.Binary{Data: []byte{1}}},
		{Key: "none", Value: nil},
	})
	f.write("posts.bson", doc)
	f.write("more/posts.bson.gz", gz(t, doc))
	config := "map: {id: _id.$oid, created_at: {path: created.$date, time: rfc3339}, text: body, author_name: user.name, author_followers: user.followers, hashtags: tags, likes: score}\n"
	for _, path := range []string{"posts.bson", "more/*"} {
		got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: "+path+"\n"+config), "")
		if len(got) != 1 || len(bad) != 0 {
			t.Fatalf("%s: %d posts, rejects %q", path, len(got), sourcetest.Reasons(bad))
		}
		p := got[0]
		if p.ID != id.Hex() || !p.CreatedAt.Equal(at) || p.Text != "text \u00e4 \"q\"" || p.AuthorName != "Wanda" || *p.AuthorFollowers != 12 || *p.Likes != 7 || !cmp.Equal(p.Hashtags, []string{"a", "b"}) {
			t.Errorf("%s: %+v", path, p)
		}
		for _, key := range []string{"_id.$oid", "created.$date", "body", "user.name", "tags.1", "score", "odd.$binary.base64", "none"} {
			if !gjson.Get(p.Payload, key).Exists() {
				t.Errorf("%s: the payload lacks %s: %s", path, key, p.Payload)
			}
		}
	}
}
