package x

import (
	"strconv"
	"time"
)

// Since November 2010 the ids of posts hold the time, in milliseconds since
// twitterEpoch, above their lowest 22 bits. Smaller ids were counted up.
const (
	twitterEpoch   = 1288834974657
	snowflakeBits  = 22
	firstSnowflake = 29_700_859_247
)

// CreatedAt is the time in the id of a post, to the second as the API tells it;
// false when the id holds none.
func CreatedAt(id string) (time.Time, bool) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < firstSnowflake || strconv.FormatInt(n, 10) != id {
		return time.Time{}, false
	}
	return time.UnixMilli(n>>snowflakeBits + twitterEpoch).UTC().Truncate(time.Second), true
}

// FirstID is the smallest id that a post created at t or later can have.
func FirstID(t time.Time) string {
	ms := t.UnixMilli() - twitterEpoch
	return strconv.FormatInt(max(ms, 0)<<snowflakeBits, 10)
}

// moment reads a time as the API writes it, or takes it from the id.
func moment(created, id string) (time.Time, bool) {
	if len(created) == len("2006-01-02T15:04:05.000Z") && created[10] == 'T' && created[23] == 'Z' {
		if t, ok := fixed(created); ok {
			return t, true
		}
	}
	if t, err := time.Parse(time.RFC3339, created); err == nil {
		return t.UTC(), true
	}
	if created != "" {
		return time.Time{}, false
	}
	return CreatedAt(id)
}

// fixed reads 2006-01-02T15:04:05.000Z.
func fixed(s string) (time.Time, bool) {
	ok := s[4] == '-' && s[7] == '-' && s[13] == ':' && s[16] == ':' && s[19] == '.'
	digits := func(from, to int) (n int) {
		for _, c := range []byte(s[from:to]) {
			ok = ok && c >= '0' && c <= '9'
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := digits(0, 4), digits(5, 7), digits(8, 10)
	hour, minute, second, milli := digits(11, 13), digits(14, 16), digits(17, 19), digits(20, 23)
	if !ok || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, milli*int(time.Millisecond), time.UTC)
	return t, t.Day() == day
}
