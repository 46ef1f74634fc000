package simulate

import (
	"math"
	"math/rand/v2"
	"sort"
	"time"
)

// calendar spreads the records over the hours: more in the evening than at
// night, other on weekends, and more while a burst lasts.
type calendar struct {
	start   time.Time
	upTo    []int64 // records in hours 0…h
	bursts  []Burst
	during  map[int][]int // hour to the bursts that last in it
	share   map[int]float64
	records int64
}

// rhythm is how much is posted in each hour of a day (UTC).
var rhythm = [24]float64{
	0.45, 0.32, 0.24, 0.20, 0.22, 0.32, 0.55, 0.80, 0.95, 1.00, 1.02, 1.08,
	1.20, 1.15, 1.08, 1.06, 1.10, 1.20, 1.35, 1.50, 1.55, 1.40, 1.05, 0.70,
}

// weekend is how much less is posted on Saturday and Sunday mornings.
const weekend = 0.75

func newCalendar(c Config) *calendar {
	cal := &calendar{start: c.Start, bursts: c.Bursts(), during: map[int][]int{}, share: map[int]float64{}, records: c.Posts}
	weights := make([]float64, c.Days*24)
	total := 0.0
	for h := range weights {
		at := c.Start.Add(time.Duration(h) * time.Hour)
		w := rhythm[at.Hour()]
		if day := at.Weekday(); (day == time.Saturday || day == time.Sunday) && at.Hour() < 12 {
			w *= weekend
		}
		extra := 0.0
		for i, b := range cal.bursts {
			if from := int(b.Start.Sub(c.Start) / time.Hour); h >= from && h < from+b.Hours {
				cal.during[h] = append(cal.during[h], i)
				extra += w * usualShare * (b.Factor - 1)
			}
		}
		if extra > 0 {
			cal.share[h] = extra / (w + extra)
		}
		weights[h] = w + extra
		total += w + extra
	}
	cal.upTo = make([]int64, len(weights))
	sum := 0.0
	for h, w := range weights {
		sum += w
		cal.upTo[h] = int64(math.Round(sum / total * float64(c.Posts)))
	}
	return cal
}

// at places record i: its hour, and its time within that hour.
func (c *calendar) at(i int64, r *rand.Rand) (hour int, at time.Time) {
	hour = sort.Search(len(c.upTo), func(h int) bool { return c.upTo[h] > i })
	from := int64(0)
	if hour > 0 {
		from = c.upTo[hour-1]
	}
	slot := float64(time.Hour) / float64(c.upTo[hour]-from)
	within := time.Duration((float64(i-from) + r.Float64()) * slot)
	return hour, c.start.Add(time.Duration(hour)*time.Hour + within.Truncate(time.Millisecond))
}

// burst decides whether a record of this hour belongs to a burst; -1: none.
func (c *calendar) burst(hour int, r *rand.Rand) int {
	on := c.during[hour]
	if len(on) == 0 || r.Float64() >= c.share[hour] {
		return -1
	}
	return on[r.IntN(len(on))]
}
