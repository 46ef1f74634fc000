package mastodon

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Mastodon's ids are the milliseconds since 1970 and 16 bits more
// (lib/mastodon/snowflake.rb), so that they sort by time. Servers of another
// make have other ids, and those of posts from elsewhere lie where the other
// server's clock says.

// snowflakeBits lie below the milliseconds.
const snowflakeBits = 16

// IDAt is the least id of a time; that of 1970 for one before.
func IDAt(t time.Time) string {
	return strconv.FormatInt(max(0, t.UnixMilli())<<snowflakeBits, 10)
}

// TimeOf is the time that an id holds. It is false for an id of another make.
func TimeOf(id string) (time.Time, bool) {
	n, err := strconv.ParseInt(id, 10, 64)
	at := time.UnixMilli(n >> snowflakeBits).UTC()
	return at, err == nil && at.Year() >= firstYear
}

// firstYear is before the first post of Mastodon: ids of older make, plain
// numbers, seem to be of 1970.
const firstYear = 2010

// Compare orders ids of one server as the server does: numbers by value, others
// by their characters.
func Compare(a, b string) int {
	if digits(a) && digits(b) {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}
	return cmp.Compare(a, b)
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
