package serving

import "sync"

// scoreCacheTexts bounds the cache of scores: so many texts twice, of about 130
// bytes each.
const scoreCacheTexts = 100_000

// textKey names a text as one version of a model judges it.
type textKey struct {
	version int
	md5     string
}

// scoreCache remembers what versions said of texts during one call of Score, so
// that equal texts are judged once. When it is full, the texts that were not asked
// for since it was full the last time go.
type scoreCache struct {
	mu         sync.Mutex
	limit      int
	young, old map[textKey]Sentiment
}

func newScoreCache(limit int) *scoreCache {
	return &scoreCache{limit: limit, young: map[textKey]Sentiment{}}
}

func (c *scoreCache) get(k textKey) (Sentiment, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.young[k]
	if !ok {
		if s, ok = c.old[k]; ok {
			c.put(k, s)
		}
	}
	return s, ok
}

func (c *scoreCache) add(k textKey, s Sentiment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(k, s)
}

func (c *scoreCache) put(k textKey, s Sentiment) {
	if len(c.young) >= c.limit {
		c.young, c.old = make(map[textKey]Sentiment, c.limit), c.young
	}
	c.young[k] = s
}
