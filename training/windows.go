package training

// HourPosts is the posts of one hour; Hour counts from 1970.
type HourPosts struct{ Hour, Posts int64 }

// Describe gives the hours at, ascending, of a hashtag, with and without posts,
// as features.hashtag_hourly describes those with posts. past is the hashtag's
// hours with posts, active those in which its source had any; both ascend and
// reach back 28 days before the first of at. A test holds Describe to that table.
func Describe(past []HourPosts, active, at []int64) []TagHour {
	if len(at) == 0 {
		return nil
	}
	const month = 672
	// sums[i] are the posts before the hour base+i: a window is one difference.
	base := at[0] - month
	sums := make([]int64, at[len(at)-1]-base+2)
	for _, p := range past {
		if i := p.Hour - base; i >= 0 && i+1 < int64(len(sums)) {
			sums[i+1] += p.Posts
		}
	}
	for i := range len(sums) - 1 {
		sums[i+1] += sums[i]
	}
	out := make([]TagHour, len(at))
	seen, known := 0, 0 // of past, those before the hour; of active, the first that counts
	for i, h := range at {
		now := h - base
		before := func(hours int64) int64 { return sums[now] - sums[now-hours] }
		t := TagHour{Posts: sums[now+1] - sums[now], Posts24h: before(24), Posts7d: before(168), Posts28d: before(month), HourOfWeek: hourOfWeek(h)}
		for back := int64(24); back <= 168 && t.Posts7d > 0; back += 24 {
			t.SameHour7d += sums[now-back+1] - sums[now-back]
		}
		for seen < len(past) && past[seen].Hour < h {
			seen++
		}
		if seen > 0 && h-past[seen-1].Hour <= month {
			t.HoursSinceLast = h - past[seen-1].Hour
		}
		for known < len(active) && active[known] < h-month {
			known++
		}
		if known < len(active) && active[known] < h {
			t.HoursKnown = h - active[known]
		}
		out[i] = t
	}
	return out
}

// hourOfWeek is 0 on Monday at midnight UTC; 1970 began on a Thursday.
func hourOfWeek(hour int64) int { return int(((hour+3*24)%168 + 168) % 168) }
