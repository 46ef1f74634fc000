package training

import (
	"cmp"
	"slices"
)

// HourPosts is the posts of one hour; Hour counts from 1970.
type HourPosts struct{ Hour, Posts int64 }

// Describe gives the hours at, ascending, of a hashtag, with and without posts,
// as features.hashtag_hourly describes those with posts. past is the hashtag's
// hours with posts, active those in which its source had any; both ascend and
// reach back 28 days before the first of at. A test holds Describe to that table.
func Describe(past []HourPosts, active, at []int64) []TagHour {
	sums := make([]int64, len(past)+1)
	for i, h := range past {
		sums[i+1] = sums[i] + h.Posts
	}
	index := func(hour int64) int {
		i, _ := slices.BinarySearchFunc(past, hour, func(h HourPosts, at int64) int { return cmp.Compare(h.Hour, at) })
		return i
	}
	out := make([]TagHour, len(at))
	for i, h := range at {
		end := index(h)
		before := func(hours int64) int64 { return sums[end] - sums[index(h-hours)] }
		t := TagHour{Posts24h: before(24), Posts7d: before(168), Posts28d: before(672), HourOfWeek: hourOfWeek(h)}
		if end < len(past) && past[end].Hour == h {
			t.Posts = past[end].Posts
		}
		for back := int64(24); back <= 168 && t.Posts7d > 0; back += 24 {
			if j := index(h - back); j < len(past) && past[j].Hour == h-back {
				t.SameHour7d += past[j].Posts
			}
		}
		if end > 0 && h-past[end-1].Hour <= 672 {
			t.HoursSinceLast = h - past[end-1].Hour
		}
		if j, _ := slices.BinarySearch(active, h-672); j < len(active) && active[j] < h {
			t.HoursKnown = h - active[j]
		}
		out[i] = t
	}
	return out
}

// hourOfWeek is 0 on Monday at midnight UTC; 1970 began on a Thursday.
func hourOfWeek(hour int64) int { return int(((hour+3*24)%168 + 168) % 168) }
